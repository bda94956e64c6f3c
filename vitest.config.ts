import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const minute = 60_000;
/** Made once before the tests with real parts, when there is one: images, a registry. */
const globalSetup = existsSync(new URL('./test/setup.ts', import.meta.url)) ? ['./test/setup.ts'] : [];

const withRealParts = { globalSetup, testTimeout: 2 * minute, hookTimeout: 3 * minute };

/**
 * Of the faults and journeys, those that neither stop or start a daemon of the host nor mind others beside them: most of
 * their time is waiting.
 */
const beside = [
  'test/faults/{backup,backup-s3,two-coordinators}.test.ts',
  'test/e2e/{cli-audit,cli-coordinator,cli-release,rollout,rollout-counts}.test.ts',
];

export default defineConfig({
  test: {
    teardownTimeout: minute,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/*/test/**/*.test.ts'],
          testTimeout: 20_000,
          // All cores: vitest by itself leaves one out, which on two cores is half of them.
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', ...beside],
          // Most of such a file's time is waiting for containers: two at a time keep two cores busy, more only
          // stretch the times that are asserted.
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
          ...withRealParts,
        },
      },
      {
        test: {
          name: 'alone',
          // These stop and start daemons, and a dockerd that starts makes its chains in the host's tables anew: one at
          // a time.
          include: ['test/{faults,e2e}/**/*.test.ts'],
          exclude: beside,
          maxWorkers: 1,
          sequence: { groupOrder: 3 },
          ...withRealParts,
        },
      },
    ],
  },
});
