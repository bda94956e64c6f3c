import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../bootstrap/paths.mjs';

/**
 * Parts that a program loads when it first needs them: a bundle each, so that who never needs them has them neither in
 * the program's text nor in memory. `by` is the module that names the part, and how it does that.
 */
const PARTS = [
  // The coordinator imports it.
  { program: 'coordinator', part: 'registry/ecr-sdk.ts', by: 'import', out: 'coordinator-ecr' },
  { program: 'coordinator', part: 'enrolment/pkcs7-sdk.ts', by: 'import', out: 'coordinator-pkcs7' },
  {
    program: 'coordinator',
    part: 'enrolment/credentials-sdk.ts',
    by: 'import',
    out: 'coordinator-credentials',
  },
  { program: 'agent', part: 'link/aws-sign-sdk.ts', by: 'import', out: 'agent-aws-sign' },
  { program: 'agent', part: 'backup/s3-sdk.ts', by: 'import', out: 'agent-s3' },
  { program: 'coordinator', part: 'secrets/kms-sdk.ts', by: 'import', out: 'coordinator-kms' },
  {
    program: 'agent',
    part: 'system/aws-program.ts',
    by: { module: 'system/aws-module.ts', name: 'AWS_PROGRAM' },
    out: 'agent-aws',
  },
  // The agent runs it as a program, whose path another module gives.
  {
    program: 'agent',
    part: 'system/ecr-program.ts',
    by: { module: 'system/ecr-module.ts', name: 'ECR_PROGRAM' },
    out: 'agent-ecr',
  },
];

const sourceOf = (program, path) => join(root, 'packages', program, 'src', path);

/** The parts of these programs, as entry points and by the names of their bundles. */
export function partsOf(programs) {
  return PARTS.map(({ program, part, out }) => ({ program, in: sourceOf(program, part), out })).filter(
    (one) => programs.includes(one.program) && existsSync(one.in),
  );
}

export const onDemand = {
  name: 'on-demand',
  setup(build) {
    for (const { program, part, by, out } of PARTS) {
      const path = sourceOf(program, part);
      if (by === 'import') {
        build.onResolve({ filter: /-sdk\.ts$/ }, (asked) =>
          asked.kind === 'dynamic-import' && join(asked.resolveDir, asked.path) === path
            ? { path: `./${out}.js`, external: true }
            : undefined,
        );
        continue;
      }
      build.onLoad({ filter: /-module\.ts$/ }, (asked) =>
        asked.path === sourceOf(program, by.module)
          ? {
              loader: 'js',
              contents: `import { fileURLToPath } from 'node:url';
export const ${by.name} = fileURLToPath(new URL(${JSON.stringify(`./${out}.js`)}, import.meta.url));`,
            }
          : undefined,
      );
    }
  },
};
