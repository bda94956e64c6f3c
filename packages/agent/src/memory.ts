import { setFlagsFromString } from 'node:v8';

// The first thing the agent imports. Node lets the space for young objects grow to 16 MB as soon as a program starts up,
// and an idle one never gives it back: every host would pay 12 MB for the agent's first second.
setFlagsFromString('--semi-space-growth-factor=1');
