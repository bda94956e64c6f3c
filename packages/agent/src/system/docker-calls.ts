import type Docker from 'dockerode';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { z } from 'zod';
import { reasonOf } from './clock.ts';
import { Connections, dockerFor } from './docker-dial.ts';
import { cleanLine } from './text.ts';

export interface CallOptions {
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
}

export interface StreamOptions {
  signal?: AbortSignal | undefined;
  /** Silence of as many milliseconds after the answer has begun breaks it off; without it may last for ever. */
  silenceMs?: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const OPENING_MS = 120_000;

/** The newest API version whose fields we were written against; an older daemon's own is used instead. */
const NEWEST_API = [1, 44] as const;

/**
 * Calls to one daemon through dockerode, each with a time limit, the API version agreed upon, and errors as
 * `BerthError`s: `docker_unavailable`, `timeout`, `not_found`, `conflict`, and `internal` with the daemon's words;
 * `details.status` is its HTTP status. An abort rejects with the signal's reason.
 */
export class DockerCalls {
  readonly #socketPath: string;
  readonly #agent = new Connections();
  readonly #onLost: () => void;
  /** What the daemon said that it knows; null before it was asked. */
  #apiVersion: string | null = null;

  /** `onLost`: the daemon could not be reached; the next one at this socket may be another. */
  constructor(socketPath: string, onLost: () => void) {
    this.#socketPath = socketPath;
    this.#onLost = onLost;
  }

  /** `what` names the call in errors. With `streamed` dockerode hands over the answer unread. */
  async call<T>(
    what: string,
    options: CallOptions,
    run: (docker: Docker) => Promise<T>,
    answers: 'parsed' | 'streamed' = 'parsed',
  ): Promise<T> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const deadline = AbortSignal.timeout(timeoutMs);
    const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
    try {
      return await run(await this.#open(signal, answers));
    } catch (cause) {
      throw this.#translate(cause, what, options.signal, deadline, timeoutMs);
    }
  }

  /** An answer that goes on: events, pulls. Ends with it, and throws when the connection breaks. */
  async *stream(
    what: string,
    options: StreamOptions,
    run: (docker: Docker) => Promise<AsyncIterable<string | Buffer>>,
  ): AsyncGenerator<Buffer> {
    const silence = new AbortController();
    const { signal: outer, silenceMs } = options;
    const signal = outer === undefined ? silence.signal : AbortSignal.any([outer, silence.signal]);
    let timer = setTimeout(() => silence.abort(), OPENING_MS);
    try {
      const answer = await run(await this.#open(signal));
      clearTimeout(timer);
      if (silenceMs !== undefined) timer = setTimeout(() => silence.abort(), silenceMs);
      for await (const chunk of answer) {
        if (silenceMs !== undefined) timer.refresh();
        yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      }
    } catch (cause) {
      throw this.#translate(cause, what, outer, silence.signal, silenceMs ?? OPENING_MS);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #open(signal: AbortSignal, answers: 'parsed' | 'streamed' = 'parsed'): Promise<Docker> {
    signal.throwIfAborted();
    if (this.#apiVersion === null) {
      await this.#dockerFor(signal, undefined, 'parsed').ping();
      this.#apiVersion ??= '';
    }
    return this.#dockerFor(signal, versionFor(this.#apiVersion), answers);
  }

  #dockerFor(signal: AbortSignal, version: string | undefined, answers: 'parsed' | 'streamed'): Docker {
    return dockerFor({
      socketPath: this.#socketPath,
      agent: this.#agent,
      version,
      signal,
      answers,
      onApiVersion: (known) => {
        this.#apiVersion = known;
      },
    });
  }

  #translate(
    cause: unknown,
    what: string,
    outer: AbortSignal | undefined,
    deadline: AbortSignal,
    timeoutMs: number,
  ): Error {
    if (outer?.aborted === true) return reasonOf(outer);
    if (cause instanceof BerthError) return cause;
    if (deadline.aborted)
      return new BerthError('timeout', `Docker did not answer within ${timeoutMs} ms: ${what}.`, { cause });
    const refused = Refusal.safeParse(cause);
    if (refused.success) return refusal(refused.data, what, cause);
    this.#apiVersion = null;
    this.#onLost();
    return new BerthError(
      'docker_unavailable',
      `Docker does not answer at ${this.#socketPath} (${messageOf(cause)}). Start its daemon.`,
      { cause },
    );
  }
}

/** What dockerode throws when the daemon says no. */
const Refusal = z.object({ statusCode: z.number(), message: z.string() });

/** In the daemon's own words: `(HTTP code 409) unexpected - name taken ` is how dockerode wraps them. */
function refusal({ statusCode, message }: z.infer<typeof Refusal>, what: string, cause: unknown): BerthError {
  const code = statusCode === 404 ? 'not_found' : statusCode === 409 ? 'conflict' : 'internal';
  const words = cleanLine(message.replace(/^\(HTTP code \d+\) [^-]* - /, ''), 800);
  return new BerthError(code, `Docker: ${words || `status ${statusCode}`}`, {
    cause,
    details: { status: statusCode, request: what },
  });
}

/** `v1.41` for a daemon that knows no more; otherwise the version that we know; undefined when it does not say. */
export function versionFor(known: string): string | undefined {
  const match = /^(\d+)\.(\d+)$/.exec(known);
  if (match === null) return undefined;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  const older = major < NEWEST_API[0] || (major === NEWEST_API[0] && minor < NEWEST_API[1]);
  return older ? `v${major}.${minor}` : `v${NEWEST_API[0]}.${NEWEST_API[1]}`;
}
