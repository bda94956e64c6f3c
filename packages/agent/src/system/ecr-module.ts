import { fileURLToPath } from 'node:url';

/** Where the program is that asks ECR. In a bundle it is another file: see scripts/build/on-demand.mjs. */
export const ECR_PROGRAM = fileURLToPath(new URL('./ecr-program.ts', import.meta.url));
