import { createHash } from 'node:crypto';
import { BerthError } from '@berth/shared/domain/errors';
import { parseImage, type ImageName } from '@berth/shared/domain/image';
import { registryFor, speaksPlainHttp, type RegistryConfig } from '@berth/shared/registry/config';
import type { Credential, Credentials } from '@berth/shared/registry/credentials';
import type { Registry, ResolvedImage } from '../services/registry.ts';
import { basicOf } from './basic.ts';
import { parseChallenge } from './challenge.ts';
import { askPatiently, type Answer, type HttpDeps } from './http.ts';
import { BearerTokens } from './tokens.ts';

export interface RegistryOptions extends HttpDeps {
  registries: readonly RegistryConfig[];
  credentials: Credentials;
}

/** Indexes first: of an image for several platforms the digest of the index is wanted, not of one platform's. */
const MANIFESTS = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const;
/** The specification lets a registry refuse larger ones. */
const MAX_MANIFEST = 4 * 1024 * 1024;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** A client of any Registry v2 that finds digests. It asks for manifests only and never for an image's content. */
export function createRegistry(options: RegistryOptions): Registry {
  const tokens = new BearerTokens(options);

  async function manifest(name: ImageName, method: 'HEAD' | 'GET', signal: AbortSignal): Promise<Answer> {
    const { registry, repository } = name;
    const plainHttp = speaksPlainHttp(registryFor(options.registries, registry), registry);
    const url = new URL(
      `${plainHttp ? 'http' : 'https'}://${addressOf(registry)}/v2/${repository}/manifests/${name.digest ?? name.tag ?? 'latest'}`,
    );
    const scope = `repository:${repository}:pull`;
    const ask = (authorization: string | null): Promise<Answer> =>
      askPatiently(
        options,
        {
          method,
          url,
          accept: MANIFESTS.join(', '),
          authorization,
          redirects: 'any-host',
          maxBytes: MAX_MANIFEST,
        },
        signal,
      );
    let credential = await options.credentials.of(registry, signal);
    const known = tokens.known(registry, scope, credential);
    let answer = await ask(known === null ? null : `Bearer ${known}`);
    // Three looks at most: a kept token that ended early, a credential that ended early, and the one that counts.
    for (let round = 0; round < 2 && answer.status === 401; round += 1) {
      // Only the registry itself may ask for credentials.
      const challenge =
        answer.from === 'asked' ? parseChallenge(answer.headers.get('www-authenticate')) : null;
      if (challenge === null) break;
      tokens.forget(registry, scope, credential);
      if (round > 0) {
        if (!options.credentials.refused(registry, credential)) break;
        credential = await options.credentials.of(registry, signal);
      }
      const authorization = await prove(challenge, credential);
      if (authorization === null) break;
      answer = await ask(authorization);
    }
    return answer;

    async function prove(
      challenge: NonNullable<ReturnType<typeof parseChallenge>>,
      shown: Credential | null,
    ): Promise<string | null> {
      if (challenge.scheme === 'basic') return shown === null ? null : basicOf(shown);
      return `Bearer ${await tokens.ask({ registry, challenge, scope, credential: shown, plainHttp }, signal)}`;
    }
  }

  return {
    async resolve(image, signal): Promise<ResolvedImage> {
      const name = parseImage(image);
      const head = await manifest(name, 'HEAD', signal);
      // Some registries answer HEAD without a digest, or not at all.
      const needsBody = head.status === 405 || (head.status === 200 && digestIn(head) === null);
      const answer = needsBody ? await manifest(name, 'GET', signal) : head;
      if (answer.status !== 200) {
        const had = (await options.credentials.of(name.registry, signal)) !== null;
        throw refusal(image, name, answer.status, had ? 'with' : 'without');
      }
      const digest = digestIn(answer) ?? `sha256:${createHash('sha256').update(answer.body).digest('hex')}`;
      if (name.digest !== null && name.digest !== digest)
        throw new BerthError(
          'image_not_found',
          `The registry ${name.registry} answered with another image (${digest}) than ${image}. Do not trust it.`,
        );
      return { digest, mediaType: mediaTypeOf(answer) };
    },
  };
}

function digestIn(answer: Answer): string | null {
  const given = answer.headers.get('docker-content-digest');
  return given !== null && DIGEST.test(given) ? given : null;
}

function mediaTypeOf(answer: Answer): string {
  return (answer.headers.get('content-type') ?? '').split(';')[0]?.trim().slice(0, 200) ?? '';
}

/** Docker's hub has its registry under another name. */
function addressOf(registry: string): string {
  return registry === 'docker.io' ? 'registry-1.docker.io' : registry;
}

function refusal(
  image: string,
  { registry, repository, tag, digest }: ImageName,
  status: number,
  credentials: 'with' | 'without',
): BerthError {
  const details = { image, registry, repository, tag, digest, status };
  switch (status) {
    case 404:
      return new BerthError(
        'image_not_found',
        `The registry ${registry} has no ${digest === null ? `tag ${tag ?? 'latest'}` : digest} of ${repository} (image ${image}). Was it pushed?`,
        { details },
      );
    case 401:
    case 403:
      return new BerthError(
        'image_pull_failed',
        credentials === 'with'
          ? `The registry ${registry} did not accept the configured credentials for ${image}. Check them under "registries" in the coordinator's configuration, and that they may read ${repository}. (${status})`
          : `The registry ${registry} did not accept a request without credentials for ${image}. Give them under "registries" in the coordinator's configuration. (${status})`,
        { details },
      );
    default:
      return new BerthError(
        'registry_unreachable',
        `The registry ${registry} answered ${status} when asked for ${image}. Is it a registry?`,
        { details },
      );
  }
}
