import { poolSignersCases } from './pool-signers-cases.ts';

poolSignersCases(() => Promise.resolve(undefined));
