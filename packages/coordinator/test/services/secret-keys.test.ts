import { secretKeyCases } from './secret-keys-cases.ts';

secretKeyCases(() => Promise.resolve(undefined));
