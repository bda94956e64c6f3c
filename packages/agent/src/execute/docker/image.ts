import { registryOf } from '@berth/shared/domain/image';
import type { StepOf } from '@berth/shared/domain/step';
import type { Credential } from '@berth/shared/registry/credentials';
import { cleanLine } from '../../system/text.ts';
import type { ExecuteDeps, Note } from '../context.ts';
import { StepFailure } from '../failure.ts';

/** Brings the image onto the host as its pull policy says. */
export async function ensureImage(
  deps: ExecuteDeps,
  step: StepOf<'image.ensure'>,
  signal: AbortSignal,
): Promise<Note> {
  const { docker } = deps.system;
  const { image, pullPolicy } = step;
  // What is named by its digest can be nothing else, however often it is pulled.
  const mayBeHere = pullPolicy !== 'always' || image.includes('@');
  if (mayBeHere && (await docker.hasImage(image, { signal }))) return 'already here';
  if (pullPolicy === 'never')
    throw new StepFailure(
      'image_not_found',
      `The image ${image} is not on this host and its pull policy is "never". Load it, or allow pulling.`,
    );
  const complaint = await complaintOfPull(deps, image, signal);
  if (complaint === null) return 'pulled';
  throw explainPull(image, complaint);
}

/** The registry's or Docker's own words, or null when the image is here now. */
async function complaintOfPull(
  deps: ExecuteDeps,
  image: string,
  signal: AbortSignal,
): Promise<string | null> {
  const registry = registryOf(image);
  const credential = await credentialFor(deps, registry, signal);
  const complaint = await pullOnce(deps, image, credential, signal);
  if (complaint === null || credential === null || !isRefusal(complaint)) return complaint;
  // A token can end before its time; a new one is asked for once.
  if (deps.credentials?.refused(registry, credential) !== true) return complaint;
  return await pullOnce(deps, image, await credentialFor(deps, registry, signal), signal);
}

async function credentialFor(
  deps: ExecuteDeps,
  registry: string,
  signal: AbortSignal,
): Promise<Credential | null> {
  return (await deps.credentials?.of(registry, signal)) ?? null;
}

async function pullOnce(
  deps: ExecuteDeps,
  image: string,
  credential: Credential | null,
  signal: AbortSignal,
): Promise<string | null> {
  try {
    return await deps.system.docker.pullImage(taggedReference(image), { signal, credential });
  } catch (error) {
    // The daemon refuses some pulls before it streams anything; a daemon that is away is another matter.
    if (!signal.aborted && error instanceof Error && 'code' in error && error.code !== 'docker_unavailable')
      return error.message;
    throw error;
  }
}

/** Without a tag Docker's API would pull every tag there is. */
export function taggedReference(image: string): string {
  if (image.includes('@')) return image;
  const name = image.slice(image.lastIndexOf('/') + 1);
  return name.includes(':') ? image : `${image}:latest`;
}

/** The registry wants other credentials, or any. */
function isRefusal(words: string): boolean {
  return /unauthori[sz]ed|no basic auth|authentication required|denied: (?!requested)|forbidden/i.test(words);
}

/** Which of the four ways a pull fails, and what to do about it. */
export function explainPull(image: string, complaint: string): StepFailure {
  const words = cleanLine(complaint, 600);
  const registry = registryOf(image);
  if (isRefusal(words))
    return new StepFailure(
      'image_pull_failed',
      `The registry ${registry} did not accept this host's credentials for ${image}. Check them. (${words})`,
    );
  if (/not found|manifest unknown|name unknown|repository does not exist|no such image/i.test(words))
    return new StepFailure(
      'image_not_found',
      image.includes('@')
        ? `The registry ${registry} no longer has ${image}, or it needs a login. Push that image again, or move to another release. (${words})`
        : `The image ${image} does not exist in ${registry}, or needs a login. Check its name and tag. (${words})`,
    );
  if (
    /no such host|connection refused|no route|network is unreachable|i\/o timeout|timeout|deadline|dial tcp|EOF|TLS|lookup|server misbehaving/i.test(
      words,
    )
  )
    return new StepFailure(
      'registry_unreachable',
      `The registry ${registry} cannot be reached from this host for ${image}. Check the network and the name. (${words})`,
    );
  if (/no space left/i.test(words))
    return new StepFailure('disk_short', `There is no disk space left to unpack ${image}. (${words})`);
  return new StepFailure('image_pull_failed', `The image ${image} could not be pulled. (${words})`);
}
