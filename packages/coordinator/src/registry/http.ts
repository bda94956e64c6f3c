import { BerthError, messageOf } from '@berth/shared/domain/errors';

/** How one registry is asked. Nothing here knows what is asked. */
export interface HttpDeps {
  clock: { now(): number };
  /** From 0 to 1. */
  random: () => number;
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** The limits of a request, in milliseconds; shorter in tests. */
  attemptMs?: number;
}

export interface Answer {
  status: number;
  headers: Headers;
  /** Empty for HEAD. */
  body: Buffer;
  /** It came from the address that was asked, and not from where that one sent us. */
  from: 'asked' | 'elsewhere';
}

export interface Ask {
  method: 'GET' | 'HEAD';
  url: URL;
  accept: string;
  /** Sent to this address only, never along with a redirect to another one. */
  authorization: string | null;
  /** `same-host`: an answer that leads elsewhere is an error. */
  redirects: 'any-host' | 'same-host';
  maxBytes: number;
}

const ATTEMPT_MS = 10_000;
const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
const MOST_REDIRECTS = 3;

/**
 * Asks, and asks again when the answer is 429 or 5xx or does not come at all, each time after a longer pause. Errors:
 * `registry_unreachable`; an abort rejects with the signal's reason.
 */
export async function askPatiently(deps: HttpDeps, ask: Ask, signal: AbortSignal): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    const got = await attemptOf(deps, ask, signal);
    if (got.kind === 'answer') return got.answer;
    if (attempt === ATTEMPTS) {
      throw new BerthError(
        'registry_unreachable',
        `The registry's ${ask.url.host} ${got.why}, ${ATTEMPTS} times in a row. Check the address and the network, and try again.`,
        { cause: got.cause, details: { host: ask.url.host } },
      );
    }
    await deps.sleep(pauseOf(deps, attempt, got.afterMs), signal);
  }
}

type Attempt =
  | { kind: 'answer'; answer: Answer }
  | { kind: 'again'; why: string; afterMs: number | null; cause?: unknown };

async function attemptOf(deps: HttpDeps, ask: Ask, outer: AbortSignal): Promise<Attempt> {
  const limitMs = deps.attemptMs ?? ATTEMPT_MS;
  const deadline = AbortSignal.timeout(limitMs);
  const signal = AbortSignal.any([outer, deadline]);
  try {
    const answer = await followed(ask, signal);
    if (answer.status !== 429 && answer.status < 500) return { kind: 'answer', answer };
    return {
      kind: 'again',
      why: `answered ${answer.status}`,
      afterMs: retryAfterMs(answer.headers.get('retry-after'), deps.clock.now()),
    };
  } catch (cause) {
    outer.throwIfAborted();
    if (cause instanceof BerthError) throw cause;
    const why = deadline.aborted
      ? `did not answer within ${limitMs} ms`
      : `could not be asked (${whyOf(cause)})`;
    return { kind: 'again', why, afterMs: null, cause };
  }
}

async function followed(ask: Ask, signal: AbortSignal): Promise<Answer> {
  let url = ask.url;
  for (let redirects = 0; ; redirects += 1) {
    const sameHost = url.origin === ask.url.origin;
    const headers: Record<string, string> = { accept: ask.accept, 'user-agent': 'berth' };
    if (ask.authorization !== null && sameHost) headers['authorization'] = ask.authorization;
    const response = await fetch(url.href, { method: ask.method, headers, redirect: 'manual', signal });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status > 399 || location === null)
      return {
        status: response.status,
        headers: response.headers,
        body: await bodyOf(response, ask),
        from: sameHost ? 'asked' : 'elsewhere',
      };
    await response.body?.cancel();
    const next = URL.canParse(location, url.href) ? new URL(location, url.href) : null;
    if (next === null || redirects === MOST_REDIRECTS)
      throw refusedRedirect(ask, 'more often than makes sense');
    if (ask.redirects === 'same-host' && next.origin !== ask.url.origin)
      throw refusedRedirect(ask, `to ${next.host}, which is not followed with credentials`);
    if (ask.url.protocol === 'https:' && next.protocol !== 'https:')
      throw refusedRedirect(ask, `to ${next.host} over plain HTTP`);
    url = next;
  }
}

function refusedRedirect(ask: Ask, how: string): BerthError {
  return new BerthError(
    'registry_unreachable',
    `The registry's ${ask.url.host} sent us on ${how}. Check the registry's address in the image's name.`,
    { details: { host: ask.url.host } },
  );
}

async function bodyOf(response: Response, ask: Ask): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  const body: AsyncIterable<Uint8Array> | null = response.body;
  if (body === null) return Buffer.alloc(0);
  // Aborting or leaving early closes the connection.
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > ask.maxBytes)
      throw new BerthError(
        'registry_unreachable',
        `The answer of the registry's ${ask.url.host} is larger than ${ask.maxBytes} bytes, so it was not read.`,
        { details: { host: ask.url.host } },
      );
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

function pauseOf(deps: HttpDeps, attempt: number, afterMs: number | null): number {
  if (afterMs !== null) return Math.min(LONGEST_PAUSE_MS, afterMs);
  const longest = FIRST_PAUSE_MS * 3 ** (attempt - 1);
  return Math.round(longest * (0.5 + deps.random() / 2));
}

/** Seconds or a date, as HTTP has it. */
function retryAfterMs(header: string | null, now: number): number | null {
  if (header === null) return null;
  if (/^\d{1,6}$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

/** fetch says "fetch failed"; what happened is in its cause. */
function whyOf(thrown: unknown): string {
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  if (cause instanceof Error) {
    const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
    return code === '' ? cause.message : code;
  }
  return messageOf(thrown);
}
