import type { AgentConfig } from './config.ts';
import { createResolve, kmsWrap } from './secrets/references.ts';
import { createHostSecrets } from './secrets/secrets.ts';
import { silentLog } from './state/ports.ts';
import { askAws } from './system/aws.ts';
import { pathsOf } from './system/paths.ts';

/** Docker waits for this at boot, so it ends also when KMS does not answer; the agent goes on trying. */
const MOST_MS = 45_000;

/**
 * What the boot unit does before Docker starts: memory is mounted, and the files of every set that a container here was made
 * with are put there, from what lies sealed on the disk. It needs no coordinator, and no network unless KMS wraps the key.
 * Resolves with what could not be opened, a sentence each.
 */
export async function openSecretsAtBoot(config: AgentConfig): Promise<string[]> {
  const { kms, ...aws } = config.secrets;
  const secrets = createHostSecrets({
    dir: pathsOf(config.stateDir).secretsDir,
    // Opening needs no identity: what is sealed says itself whom it was sealed for.
    identity: { host: () => null, sign: () => '' },
    wrap: kms === undefined ? null : kmsWrap(askAws, { ...aws, key: kms.key }),
    resolve: createResolve(askAws, aws),
    clock: { now: () => Date.now() },
    log: silentLog,
  });
  await secrets.mount();
  return await secrets.restore(AbortSignal.timeout(MOST_MS));
}
