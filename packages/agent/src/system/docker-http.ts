import { Agent, request, type IncomingMessage } from 'node:http';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { reasonOf } from './clock.ts';
import { cleanLine } from './text.ts';

/**
 * HTTP to the Docker daemon over its unix socket. Our own few lines instead of a client library: the usual one brings
 * SSH and gRPC along (17 MB of memory at rest) and leaves a hung daemon hanging.
 */
export interface DockerRequest {
  method: 'GET' | 'POST' | 'DELETE' | 'HEAD';
  path: string;
  query?: Readonly<Record<string, string>>;
  body?: unknown;
  /** Milliseconds for the whole answer. */
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}

export interface DockerResponse {
  status: number;
  body: Buffer;
  apiVersion: string | null;
}

export interface DockerStream {
  /** Ends when the daemon ends it; throws when the connection breaks or the signal aborts. */
  chunks: AsyncIterable<Buffer>;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_BODY_BYTES = 64 * 1024 * 1024;

export class DockerHttp {
  readonly #socketPath: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 128, maxFreeSockets: 4 });

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** One request, one whole answer, whatever its status. Throws `docker_unavailable`, `timeout`, or the signal's reason. */
  async send(options: DockerRequest): Promise<DockerResponse> {
    const deadline = AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
    try {
      const response = await this.#open(options, signal, this.#agent);
      const body = await collect(response, MAX_BODY_BYTES);
      return {
        status: response.statusCode ?? 0,
        body,
        apiVersion: headerOf(response, 'api-version'),
      };
    } catch (cause) {
      throw this.#translate(cause, options, deadline);
    }
  }

  /** Opens an answer that goes on: events, pulls, exec output. A status of 400 or more throws as `refusal` does. */
  async stream(options: DockerRequest & { idleMs?: number }): Promise<DockerStream> {
    const never = new AbortController().signal;
    const outer = options.signal ?? never;
    const timeout = AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const opening = new AbortController();
    const stop = (): void => opening.abort(timeout.reason);
    timeout.addEventListener('abort', stop, { once: true });
    let response: IncomingMessage;
    try {
      // A stream keeps its own connection, so that a pull cannot starve the other calls.
      response = await this.#open(options, AbortSignal.any([outer, opening.signal]), undefined);
      if ((response.statusCode ?? 0) >= 400) {
        const body = await collect(response, 1024 * 1024);
        throw refusal(options, { status: response.statusCode ?? 0, body, apiVersion: null });
      }
    } catch (cause) {
      throw this.#translate(cause, options, timeout);
    } finally {
      timeout.removeEventListener('abort', stop);
    }
    const idleMs = options.idleMs ?? 0;
    if (idleMs > 0)
      response.setTimeout(idleMs, () => {
        response.destroy(
          new BerthError('timeout', `Docker sent nothing for ${idleMs} ms on ${options.path}.`),
        );
      });
    return { chunks: this.#chunks(response, options, timeout) };
  }

  /** Closes idle connections. */
  close(): void {
    this.#agent.destroy();
  }

  async *#chunks(
    response: IncomingMessage,
    options: DockerRequest,
    timeout: AbortSignal,
  ): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of response) if (Buffer.isBuffer(chunk)) yield chunk;
    } catch (cause) {
      throw this.#translate(cause, options, timeout);
    } finally {
      response.destroy();
    }
  }

  async #open(
    options: DockerRequest,
    signal: AbortSignal,
    agent: Agent | undefined,
  ): Promise<IncomingMessage> {
    try {
      return await this.#attempt(options, signal, agent);
    } catch (error) {
      // A pooled connection may have died with the last daemon; that says nothing about the present one.
      if (error instanceof StaleConnection) return await this.#attempt(options, signal, agent);
      throw error;
    }
  }

  #attempt(options: DockerRequest, signal: AbortSignal, agent: Agent | undefined): Promise<IncomingMessage> {
    const query = new URLSearchParams(options.query ?? {}).toString();
    const payload = options.body === undefined ? undefined : JSON.stringify(options.body);
    return new Promise((resolve, reject) => {
      const req = request({
        socketPath: this.#socketPath,
        agent: agent ?? false,
        method: options.method,
        path: query === '' ? options.path : `${options.path}?${query}`,
        signal,
        headers: {
          host: 'docker',
          ...(payload === undefined
            ? options.method === 'POST'
              ? { 'content-length': 0 }
              : {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
        },
      });
      req.on('response', resolve);
      req.on('error', (error: NodeJS.ErrnoException) => {
        const stale = req.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        reject(stale ? new StaleConnection() : error);
      });
      req.end(payload);
    });
  }

  #translate(cause: unknown, options: DockerRequest, deadline: AbortSignal): Error {
    if (cause instanceof BerthError) return cause;
    if (options.signal?.aborted === true) return reasonOf(options.signal);
    if (deadline.aborted)
      return new BerthError(
        'timeout',
        `Docker did not answer ${options.method} ${options.path} within ${options.timeoutMs ?? DEFAULT_TIMEOUT_MS} ms.`,
        { cause },
      );
    return new BerthError(
      'docker_unavailable',
      `Docker does not answer at ${this.#socketPath} (${messageOf(cause)}). Start its daemon.`,
      { cause },
    );
  }
}

class StaleConnection extends Error {}

/** What the daemon refused, in its own words. `details.status` is the HTTP status. */
export function refusal(
  request: Pick<DockerRequest, 'method' | 'path'>,
  response: DockerResponse,
): BerthError {
  const text = response.body.toString('utf8');
  let words = text;
  try {
    const parsed: unknown = JSON.parse(text);
    if (parsed !== null && typeof parsed === 'object' && 'message' in parsed) words = String(parsed.message);
  } catch {
    // Not JSON: the text itself is what there is to say.
  }
  const status = response.status;
  const code = status === 404 ? 'not_found' : status === 409 ? 'conflict' : 'internal';
  return new BerthError(code, `Docker: ${cleanLine(words, 800) || `status ${status}`}`, {
    details: { status, request: `${request.method} ${request.path}` },
  });
}

function headerOf(response: IncomingMessage, name: string): string | null {
  const value = response.headers[name];
  return typeof value === 'string' ? value : null;
}

function collect(response: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let size = 0;
    response.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limit)
        response.destroy(new BerthError('internal', `Docker's answer is larger than ${limit} bytes.`));
      else parts.push(chunk);
    });
    response.on('end', () => {
      resolve(Buffer.concat(parts));
    });
    response.on('error', reject);
    response.on('aborted', () => {
      reject(new Error('the connection broke'));
    });
  });
}
