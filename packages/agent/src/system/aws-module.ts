import { fileURLToPath } from 'node:url';

/** Where the program is that asks KMS, Secrets Manager and Parameter Store. In a bundle it is another file. */
export const AWS_PROGRAM = fileURLToPath(new URL('./aws-program.ts', import.meta.url));
