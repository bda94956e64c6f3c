import { databaseCases } from './databases-cases.ts';

databaseCases(() => Promise.resolve(undefined));
