import { BerthError, messageOf, unreachable } from '../domain/errors.ts';
import { ecrRegionOf, registryFor, type RegistryConfig } from './config.ts';
import { abortable } from './abortable.ts';
import { cleanWords } from './words.ts';

export interface Credential {
  username: string;
  password: string;
}

export interface EcrToken extends Credential {
  /** Milliseconds since 1970. */
  expiresAt: number;
}

/** Asks ECR for a token. The SDK behind it is loaded when this is called first. */
export type FetchEcrToken = (
  of: { region: string; endpoint: string | undefined },
  signal: AbortSignal,
) => Promise<EcrToken>;

export interface CredentialsOptions {
  registries: readonly RegistryConfig[];
  readFile: (path: string) => Promise<string>;
  fetchEcrToken: FetchEcrToken;
  clock: { now(): number };
}

export interface Credentials {
  /** The credential for a registry; null: none is configured. Errors: `image_pull_failed`, `registry_unreachable`. */
  of(host: string, signal: AbortSignal): Promise<Credential | null>;
  /** The registry did not accept `used`. True when it is worth asking again, with what `of` gives then. */
  refused(host: string, used: Credential | null): boolean;
}

/** A token is renewed so long before its end that whoever got it last has time to use it. */
export const RENEW_BEFORE_MS = 15 * 60_000;

/** What to show the registries, from the configuration. Tokens are kept, and asked for once by many at a time. */
export function createCredentials(options: CredentialsOptions): Credentials {
  const tokens = new Map<string, EcrToken>();
  const asked = new Map<string, Promise<EcrToken>>();

  const { registries, clock } = options;

  async function ecrToken(
    host: string,
    config: Extract<RegistryConfig, { kind: 'ecr' }>,
    signal: AbortSignal,
  ): Promise<Credential> {
    const of = { region: regionOf(config, host), endpoint: config.endpoint };
    const key = keyOf(of);
    const kept = tokens.get(key);
    const left = kept === undefined ? 0 : kept.expiresAt - clock.now();
    if (kept !== undefined && left > RENEW_BEFORE_MS) return kept;
    const pending = asked.get(key) ?? ask(key, host, of);
    try {
      return await abortable(pending, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      // What is still valid is better than nothing; the next one to ask tries to renew it again.
      if (kept !== undefined && kept.expiresAt > clock.now()) return kept;
      throw thrown;
    }
  }

  /** Shared by all who wait, so nobody's signal ends it for the others: the SDK has its own time limits. */
  function ask(
    key: string,
    host: string,
    of: { region: string; endpoint: string | undefined },
  ): Promise<EcrToken> {
    const pending = options
      .fetchEcrToken(of, AbortSignal.timeout(30_000))
      .then((token) => {
        tokens.set(key, token);
        return token;
      })
      .catch((cause: unknown) => {
        throw ecrError(host, of.region, cause);
      })
      .finally(() => asked.delete(key));
    asked.set(key, pending);
    return pending;
  }

  return {
    async of(host, signal) {
      const config = registryFor(registries, host);
      if (config === null) return null;
      switch (config.kind) {
        case 'anonymous':
          return null;
        case 'password':
          return {
            username: config.username,
            password: await passwordIn(options.readFile, config.passwordFile, host),
          };
        case 'ecr':
          return await ecrToken(host, config, signal);
        default:
          return unreachable(config);
      }
    },
    refused(host, used) {
      const config = registryFor(registries, host);
      if (config?.kind !== 'ecr' || used === null) return false;
      const key = keyOf({ region: regionOf(config, host), endpoint: config.endpoint });
      // Only the token that was shown goes: another may have renewed it meanwhile.
      if (tokens.get(key)?.password === used.password) tokens.delete(key);
      return true;
    },
  };
}

const keyOf = (of: { region: string; endpoint: string | undefined }): string =>
  `${of.region} ${of.endpoint ?? ''}`;

function regionOf(config: Extract<RegistryConfig, { kind: 'ecr' }>, host: string): string {
  const region = config.region ?? ecrRegionOf(host);
  if (region !== null) return region;
  throw new BerthError(
    'image_pull_failed',
    `The name of the registry ${host} does not tell its AWS region. Give "region" beside it in the configuration.`,
  );
}

async function passwordIn(
  readFile: (path: string) => Promise<string>,
  path: string,
  host: string,
): Promise<string> {
  let text: string;
  try {
    text = await readFile(path);
  } catch (cause) {
    throw new BerthError(
      'image_pull_failed',
      `The password for the registry ${host} cannot be read from ${path}: ${messageOf(cause)}.`,
      { cause },
    );
  }
  const password = text.replace(/\r?\n$/, '');
  if (password !== '') return password;
  throw new BerthError('image_pull_failed', `The password file ${path} of the registry ${host} is empty.`);
}

const REFUSALS =
  /AccessDenied|UnrecognizedClient|InvalidSignature|ExpiredToken|CredentialsProvider|InvalidClientTokenId|SignatureDoesNotMatch|Could not load credentials/i;

function ecrError(host: string, region: string, cause: unknown): BerthError {
  const name = cause instanceof Error ? cause.name : '';
  const words = cleanWords(`${name}: ${messageOf(cause)}`, 300);
  return REFUSALS.test(words)
    ? new BerthError(
        'image_pull_failed',
        `ECR in ${region} gave no token for the registry ${host}. The role of this machine needs ecr:GetAuthorizationToken. (${words})`,
        { cause },
      )
    : new BerthError(
        'registry_unreachable',
        `ECR in ${region} did not answer when asked for a token for the registry ${host}. Check the network. (${words})`,
        { cause },
      );
}
