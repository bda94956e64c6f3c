import { BerthError } from '@berth/shared/domain/errors';
import { z } from 'zod';
import { DockerHttp, refusal, type DockerRequest, type DockerResponse } from './docker-http.ts';
import { demultiplex, jsonLines } from './docker-streams.ts';
import { ListReader } from './list-reader.ts';
import {
  ContainerDetails,
  DockerEvent,
  NetworkDetails,
  VolumeDetails,
  type ListEntry,
} from './docker-types.ts';

export interface CallOptions {
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
}

/** The newest API version whose fields we were written against; an older daemon's own is used instead. */
const NEWEST_API = [1, 44] as const;

/**
 * The Docker calls that Berth makes, each with a time-out. Errors are `BerthError`s: `docker_unavailable`, `timeout`,
 * `not_found`, `conflict`, and `internal` with the daemon's words and `details.status`.
 */
export class DockerClient {
  readonly #http: DockerHttp;
  readonly #lists = new ListReader(listEntries);
  #prefix: string | null = null;
  #dataRoot: string | null = null;

  constructor(socketPath: string) {
    this.#http = new DockerHttp(socketPath);
  }

  /** All containers, running or not, that carry this label value: one call. */
  async listContainers(label: string, options: CallOptions = {}): Promise<ListEntry[]> {
    const response = await this.#call({
      method: 'GET',
      path: '/containers/json',
      query: { all: '1', filters: JSON.stringify({ label: [label] }) },
      ...options,
    });
    return this.#lists.read(response.body.toString('utf8'));
  }

  /** By name or id; null when there is none. */
  async inspectContainer(ref: string, options: CallOptions = {}): Promise<ContainerDetails | null> {
    const path = `/containers/${encodeURIComponent(ref)}/json`;
    return await this.#read(ContainerDetails, { method: 'GET', path, ...options });
  }

  /** Returns the new id. `conflict` when the name is taken, `not_found` when the image is not here. */
  async createContainer(name: string, body: unknown, options: CallOptions = {}): Promise<string> {
    const response = await this.#call({
      method: 'POST',
      path: '/containers/create',
      query: { name },
      body,
      timeoutMs: 120_000,
      ...options,
    });
    return z.object({ Id: z.string() }).parse(parseJson(response.body)).Id;
  }

  /** No error when it runs already. */
  async startContainer(ref: string, options: CallOptions = {}): Promise<void> {
    const path = `/containers/${encodeURIComponent(ref)}/start`;
    await this.#call({ method: 'POST', path, timeoutMs: 120_000, ...options });
  }

  /** Its own stop signal, then SIGKILL after the grace. No error when it does not run or is gone. */
  async stopContainer(ref: string, graceMs: number, options: CallOptions = {}): Promise<void> {
    await this.#call(
      {
        method: 'POST',
        path: `/containers/${encodeURIComponent(ref)}/stop`,
        query: { t: String(Math.ceil(graceMs / 1000)) },
        timeoutMs: graceMs + 60_000,
        ...options,
      },
      [404],
    );
  }

  /** With force, without its volumes. No error when it is gone. */
  async removeContainer(ref: string, options: CallOptions = {}): Promise<void> {
    const path = `/containers/${encodeURIComponent(ref)}`;
    const query = { force: '1', v: '0' };
    const request = { method: 'DELETE' as const, path, query, timeoutMs: 120_000, ...options };
    const response = await this.#raw(request);
    if (response.status < 400 || response.status === 404) return;
    const error = refusal(request, response);
    // Another caller is removing it at this moment: that is what was asked for.
    if (response.status === 409 && /already in progress/.test(error.message)) return;
    throw error;
  }

  /** Waits until it does not run; its exit code. Throws `timeout` when it takes longer. */
  async waitContainer(ref: string, options: CallOptions): Promise<number> {
    const path = `/containers/${encodeURIComponent(ref)}/wait`;
    const response = await this.#call({ method: 'POST', path, ...options });
    return z.object({ StatusCode: z.number() }).parse(parseJson(response.body)).StatusCode;
  }

  /** The last lines of both streams as text; empty when the log driver cannot be read. */
  async tailLogs(ref: string, tty: boolean, lines: number, options: CallOptions = {}): Promise<string> {
    const response = await this.#raw({
      method: 'GET',
      path: `/containers/${encodeURIComponent(ref)}/logs`,
      query: { stdout: '1', stderr: '1', tail: String(lines) },
      timeoutMs: 5_000,
      ...options,
    });
    if (response.status >= 400) return '';
    return tty ? response.body.toString('utf8') : demultiplex(response.body);
  }

  /** Runs an argument array inside a container and waits for it. The output is cut at 8 KiB. */
  async exec(
    ref: string,
    argv: readonly string[],
    options: CallOptions = {},
  ): Promise<{ exitCode: number; output: string }> {
    const created = await this.#call({
      method: 'POST',
      path: `/containers/${encodeURIComponent(ref)}/exec`,
      body: { AttachStdout: true, AttachStderr: true, Cmd: argv },
      ...options,
    });
    const { Id } = z.object({ Id: z.string() }).parse(parseJson(created.body));
    const stream = await this.#http.stream({
      method: 'POST',
      path: await this.#versioned(`/exec/${Id}/start`, options),
      body: { Detach: false, Tty: false },
      ...options,
      idleMs: options.timeoutMs ?? 30_000,
    });
    const parts: Buffer[] = [];
    let size = 0;
    for await (const chunk of stream.chunks) {
      if (size < 8192) parts.push(chunk);
      size += chunk.length;
    }
    const done = await this.#call({ method: 'GET', path: `/exec/${Id}/json`, ...options });
    const { ExitCode } = z.object({ ExitCode: z.number().nullable() }).parse(parseJson(done.body));
    return { exitCode: ExitCode ?? -1, output: demultiplex(Buffer.concat(parts)).slice(0, 8192) };
  }

  async hasImage(ref: string, options: CallOptions = {}): Promise<boolean> {
    const path = `/images/${encodeURIComponent(ref)}/json`;
    const response = await this.#call({ method: 'GET', path, ...options }, [404]);
    return response.status !== 404;
  }

  /** Pulls by reference. Resolves to the registry's complaint, or null when the image is here. */
  async pullImage(ref: string, options: CallOptions = {}): Promise<string | null> {
    const stream = await this.#http.stream({
      method: 'POST',
      path: await this.#versioned('/images/create', options),
      query: { fromImage: ref },
      timeoutMs: 120_000,
      idleMs: 180_000,
      signal: options.signal,
    });
    let complaint: string | null = null;
    for await (const line of jsonLines(stream.chunks)) {
      const parsed = z.object({ error: z.string() }).safeParse(line);
      if (parsed.success) complaint = parsed.data.error;
    }
    return complaint;
  }

  async listNetworks(label: string, options: CallOptions = {}): Promise<NetworkDetails[]> {
    const response = await this.#call({
      method: 'GET',
      path: '/networks',
      query: { filters: JSON.stringify({ label: [label] }) },
      ...options,
    });
    return z.array(NetworkDetails).parse(parseJson(response.body));
  }

  async inspectNetwork(name: string, options: CallOptions = {}): Promise<NetworkDetails | null> {
    return await this.#read(NetworkDetails, {
      method: 'GET',
      path: `/networks/${encodeURIComponent(name)}`,
      ...options,
    });
  }

  async createNetwork(body: unknown, options: CallOptions = {}): Promise<void> {
    const request = {
      method: 'POST' as const,
      path: '/networks/create',
      body,
      timeoutMs: 60_000,
      ...options,
    };
    await this.#call(request);
  }

  /** No error when it is gone. */
  async removeNetwork(name: string, options: CallOptions = {}): Promise<void> {
    const path = `/networks/${encodeURIComponent(name)}`;
    await this.#call({ method: 'DELETE', path, ...options }, [404]);
  }

  async inspectVolume(name: string, options: CallOptions = {}): Promise<VolumeDetails | null> {
    const path = `/volumes/${encodeURIComponent(name)}`;
    return await this.#read(VolumeDetails, { method: 'GET', path, ...options });
  }

  async createVolume(
    name: string,
    labels: Readonly<Record<string, string>>,
    options: CallOptions = {},
  ): Promise<void> {
    const body = { Name: name, Driver: 'local', Labels: labels };
    await this.#call({ method: 'POST', path: '/volumes/create', body, ...options });
  }

  /** Where Docker keeps images and volumes. Asked once per daemon: it is one of its slowest answers. */
  async dataRoot(options: CallOptions = {}): Promise<string> {
    if (this.#dataRoot !== null) return this.#dataRoot;
    const response = await this.#call({ method: 'GET', path: '/info', ...options });
    const { DockerRootDir } = z.object({ DockerRootDir: z.string() }).parse(parseJson(response.body));
    this.#dataRoot = DockerRootDir;
    return DockerRootDir;
  }

  /** The daemon's events until it goes away or the signal aborts; `sinceSeconds` brings back what was missed. */
  async *events(
    filters: Readonly<Record<string, readonly string[]>>,
    options: { signal: AbortSignal; sinceSeconds?: number | undefined },
  ): AsyncGenerator<DockerEvent> {
    const query: Record<string, string> = { filters: JSON.stringify(filters) };
    if (options.sinceSeconds !== undefined) query['since'] = String(options.sinceSeconds);
    const path = await this.#versioned('/events', options);
    const stream = await this.#http.stream({ method: 'GET', path, query, signal: options.signal });
    for await (const line of jsonLines(stream.chunks)) {
      const event = DockerEvent.safeParse(line);
      if (event.success) yield event.data;
    }
  }

  async ping(options: CallOptions = {}): Promise<void> {
    await this.#call({ method: 'GET', path: '/_ping', timeoutMs: 5_000, ...options });
  }

  close(): void {
    this.#http.close();
  }

  async #read<T>(schema: z.ZodType<T>, request: DockerRequest): Promise<T | null> {
    const response = await this.#call(request, [404]);
    return response.status === 404 ? null : schema.parse(parseJson(response.body));
  }

  async #call(request: DockerRequest, tolerated: readonly number[] = []): Promise<DockerResponse> {
    const response = await this.#raw(request);
    if (response.status < 400 || tolerated.includes(response.status)) return response;
    throw refusal(request, response);
  }

  async #raw(request: DockerRequest): Promise<DockerResponse> {
    const path = await this.#versioned(request.path, request);
    try {
      return await this.#http.send({ ...request, path });
    } catch (error) {
      // The next daemon at this socket may be another version.
      if (error instanceof BerthError && error.code === 'docker_unavailable') {
        this.#prefix = null;
        this.#dataRoot = null;
      }
      throw error;
    }
  }

  async #versioned(path: string, options: CallOptions): Promise<string> {
    if (this.#prefix === null) {
      const ping: DockerRequest = {
        method: 'GET',
        path: '/_ping',
        signal: options.signal,
        timeoutMs: 10_000,
      };
      const response = await this.#http.send(ping);
      if (response.status >= 400) throw refusal(ping, response);
      this.#prefix = prefixFor(response.apiVersion);
    }
    return `${this.#prefix}${path}`;
  }
}

/** `/v1.41` for a daemon that knows no more; otherwise the version that we know. */
export function prefixFor(serverVersion: string | null): string {
  const match = /^(\d+)\.(\d+)$/.exec(serverVersion ?? '');
  if (match === null) return '';
  const [major, minor] = [Number(match[1]), Number(match[2])];
  const older = major < NEWEST_API[0] || (major === NEWEST_API[0] && minor < NEWEST_API[1]);
  return older ? `/v${major}.${minor}` : `/v${NEWEST_API[0]}.${NEWEST_API[1]}`;
}

function parseJson(body: Buffer | string): unknown {
  try {
    const value: unknown = JSON.parse(typeof body === 'string' ? body : body.toString('utf8'));
    return value;
  } catch (cause) {
    throw new BerthError('docker_unavailable', 'Docker answered something that is not JSON.', { cause });
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function stringRecord(value: unknown): Record<string, string> {
  if (!isRecord(value)) return {};
  const result: Record<string, string> = {};
  for (const key in value) {
    const item = value[key];
    if (typeof item === 'string') result[key] = item;
  }
  return result;
}

/** Hand-written because a schema library costs several times as much on 1,000 entries per sweep. */
export function listEntries(text: string): ListEntry[] {
  const parsed = parseJson(text);
  if (!Array.isArray(parsed))
    throw new BerthError('docker_unavailable', "Docker's container list is not a list.");
  const entries: ListEntry[] = [];
  for (const item of parsed as readonly unknown[]) {
    if (!isRecord(item)) continue;
    const { Id, Names, Labels, State, Status } = item;
    if (typeof Id !== 'string' || typeof State !== 'string' || typeof Status !== 'string') continue;
    const names = Array.isArray(Names) ? Names.filter((name) => typeof name === 'string') : [];
    entries.push({ id: Id, names, labels: stringRecord(Labels), state: State, status: Status });
  }
  return entries;
}
