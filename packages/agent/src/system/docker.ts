import { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { BerthError } from '@berth/shared/domain/errors';
import { registryOf } from '@berth/shared/domain/image';
import type { Credential } from '@berth/shared/registry/credentials';
import { z } from 'zod';
import { read, readUnlessGone, statusOf, unlessStatus } from './docker-answers.ts';
import { DockerCalls, type CallOptions } from './docker-calls.ts';
import type { Listing } from './docker-listing.ts';
import { outputOf } from './docker-output.ts';
import { ContainerDetails, DockerEvent, NetworkDetails, VolumeDetails } from './docker-types.ts';
import { jsonLines } from './lines.ts';

export type { CallOptions } from './docker-calls.ts';

const OUTPUT_BYTES = 8 * 1024;
const LOG_BYTES = 1024 * 1024;
/** A pull that brings nothing for so long has lost its registry. */
const PULL_SILENCE_MS = 180_000;
const SLOW_MS = 120_000;

/** What dockerode sends as a body instead of repeating it in the address, where the daemon's log would show it. */
interface Body {
  _query: Readonly<Record<string, string>>;
  _body: unknown;
}

/**
 * The Docker calls that Berth makes, each with a time-out. Errors are `BerthError`s: `docker_unavailable`, `timeout`,
 * `not_found`, `conflict`, and `internal` with the daemon's words and `details.status`.
 */
export class DockerClient {
  readonly #calls: DockerCalls;
  #dataRoot: string | null = null;

  constructor(socketPath: string) {
    this.#calls = new DockerCalls(socketPath, () => {
      this.#dataRoot = null;
    });
  }

  /** All containers of a listing, running or not: one call. Entries of another form are left out. */
  async listContainers<T>(listing: Listing<T>, options: CallOptions = {}): Promise<T[]> {
    const filters = JSON.stringify({ label: [listing.label] });
    return await this.#calls.call(
      'list containers',
      options,
      async (docker) => {
        const answer: unknown = await docker.listContainers({ all: true, filters });
        return await listing.read(read(z.instanceof(IncomingMessage), answer));
      },
      'streamed',
    );
  }

  /** By name or id; null when there is none. */
  async inspectContainer(ref: string, options: CallOptions = {}): Promise<ContainerDetails | null> {
    const answer = this.#calls.call(`inspect container ${ref}`, options, (docker) =>
      container(docker, ref).inspect(),
    );
    return await readUnlessGone(ContainerDetails, answer);
  }

  /** Returns the new id. `conflict` when the name is taken, `not_found` when the image is not here. */
  async createContainer(name: string, body: unknown, options: CallOptions = {}): Promise<string> {
    const made = await this.#calls.call(
      `create container ${name}`,
      { timeoutMs: SLOW_MS, ...options },
      (docker) => {
        const ask: Docker.ContainerCreateOptions & Body = { _query: { name }, _body: body };
        return docker.createContainer(ask);
      },
    );
    return read(z.string(), made.id);
  }

  /** No error when it runs already. */
  async startContainer(ref: string, options: CallOptions = {}): Promise<void> {
    const started = this.#calls.call(`start ${ref}`, { timeoutMs: SLOW_MS, ...options }, (docker) =>
      container(docker, ref).start(),
    );
    await unlessStatus([304], started);
  }

  /** Its own stop signal, then SIGKILL after the grace. No error when it does not run or is gone. */
  async stopContainer(ref: string, graceMs: number, options: CallOptions = {}): Promise<void> {
    const stopped = this.#calls.call(`stop ${ref}`, { timeoutMs: graceMs + 60_000, ...options }, (docker) =>
      container(docker, ref).stop({ t: Math.ceil(graceMs / 1000) }),
    );
    await unlessStatus([304, 404], stopped);
  }

  /** With force, without its volumes. No error when it is gone. */
  async removeContainer(ref: string, options: CallOptions = {}): Promise<void> {
    const removed = this.#calls.call(
      `remove container ${ref}`,
      { timeoutMs: SLOW_MS, ...options },
      (docker) => container(docker, ref).remove({ force: true, v: false }),
    );
    try {
      await unlessStatus([404], removed);
    } catch (error) {
      // Another caller is removing it at this moment: that is what was asked for.
      if (statusOf(error) === 409 && error instanceof Error && /already in progress/.test(error.message))
        return;
      throw error;
    }
  }

  /** Waits until it does not run; its exit code. Throws `timeout` when it takes longer. */
  async waitContainer(ref: string, options: CallOptions): Promise<number> {
    const answer: unknown = await this.#calls.call(`wait for ${ref}`, options, (docker) =>
      container(docker, ref).wait(),
    );
    return read(z.object({ StatusCode: z.number() }), answer).StatusCode;
  }

  /** The last lines of both streams as text; empty when the log driver cannot be read. */
  async tailLogs(ref: string, tty: boolean, lines: number, options: CallOptions = {}): Promise<string> {
    try {
      return await this.#calls.call(`logs of ${ref}`, { timeoutMs: 5_000, ...options }, async (docker) => {
        // dockerode streams only what it is told to follow, and otherwise takes a log line for JSON when it is some.
        const ask: Docker.ContainerLogsOptions & { follow: true; _query: object } = {
          follow: true,
          _query: { stdout: 1, stderr: 1, tail: lines },
        };
        const stream = await container(docker, ref).logs(ask);
        return await outputOf(docker.modem, stream, !tty, LOG_BYTES);
      });
    } catch (error) {
      if (statusOf(error) !== null) return '';
      throw error;
    }
  }

  /** Runs an argument array inside a container and waits for it. The output is cut at 8 KiB. */
  async exec(
    ref: string,
    argv: readonly string[],
    options: CallOptions = {},
  ): Promise<{ exitCode: number; output: string }> {
    return await this.#calls.call(`exec in ${ref}`, options, async (docker) => {
      const exec = await container(docker, ref).exec({
        AttachStdout: true,
        AttachStderr: true,
        Cmd: [...argv],
      });
      const stream = await exec.start({ Detach: false, Tty: false });
      const output = await outputOf(docker.modem, stream, true, OUTPUT_BYTES);
      const { ExitCode } = read(z.object({ ExitCode: z.number().nullable() }), await exec.inspect());
      return { exitCode: ExitCode ?? -1, output };
    });
  }

  async hasImage(ref: string, options: CallOptions = {}): Promise<boolean> {
    const found = this.#calls.call(`inspect image ${ref}`, options, (docker) =>
      docker.getImage(encodeURIComponent(ref)).inspect(),
    );
    return (await unlessStatus([404], found)) !== null;
  }

  /**
   * Pulls by reference, with a credential when the registry asks for one. Resolves to the registry's complaint, or null
   * when the image is here.
   */
  async pullImage(
    ref: string,
    options: CallOptions & { credential?: Credential | null } = {},
  ): Promise<string | null> {
    const { credential } = options;
    // Travels in a header, which the daemon does not log.
    const ask =
      credential === null || credential === undefined
        ? {}
        : { authconfig: { ...credential, serveraddress: registryOf(ref) } };
    const progress = this.#calls.stream(
      `pull ${ref}`,
      { signal: options.signal, silenceMs: PULL_SILENCE_MS },
      (docker) => docker.pull(ref, ask),
    );
    let complaint: string | null = null;
    for await (const line of jsonLines(progress)) {
      const parsed = z.object({ error: z.string() }).safeParse(line);
      if (parsed.success) complaint = parsed.data.error;
    }
    return complaint;
  }

  /** Makes an image of one layer out of a tar archive, under this name and tag. */
  async importImage(tar: Buffer, name: string, options: CallOptions = {}): Promise<void> {
    const [repo = '', tag = ''] = name.split(':');
    const progress = this.#calls.stream(
      `import image ${name}`,
      { signal: options.signal, silenceMs: SLOW_MS },
      (docker) => docker.importImage(Readable.from([tar]), { repo, tag }),
    );
    for await (const line of jsonLines(progress)) {
      const refused = z.object({ error: z.string() }).safeParse(line);
      if (refused.success) throw new BerthError('internal', `Docker: ${refused.data.error}`);
    }
  }

  /** No error when it is gone. */
  async removeImage(name: string, options: CallOptions = {}): Promise<void> {
    const removed = this.#calls.call(`remove image ${name}`, options, (docker) =>
      docker.getImage(encodeURIComponent(name)).remove({ force: true }),
    );
    await unlessStatus([404], removed);
  }

  async listNetworks(label: string, options: CallOptions = {}): Promise<NetworkDetails[]> {
    const filters = JSON.stringify({ label: [label] });
    const answer = await this.#calls.call('list networks', options, (docker) =>
      docker.listNetworks({ filters }),
    );
    return read(z.array(NetworkDetails), answer);
  }

  async inspectNetwork(name: string, options: CallOptions = {}): Promise<NetworkDetails | null> {
    const answer = this.#calls.call(`inspect network ${name}`, options, (docker) =>
      docker.getNetwork(encodeURIComponent(name)).inspect(),
    );
    return await readUnlessGone(NetworkDetails, answer);
  }

  async createNetwork(body: unknown, options: CallOptions = {}): Promise<void> {
    await this.#calls.call('create network', { timeoutMs: 60_000, ...options }, (docker) => {
      // The name is in the body; dockerode's types ask for it here as well.
      const ask: Docker.NetworkCreateOptions & Body = { Name: '', _query: {}, _body: body };
      return docker.createNetwork(ask);
    });
  }

  /** No error when it is gone. */
  async removeNetwork(name: string, options: CallOptions = {}): Promise<void> {
    const removed = this.#calls.call(`remove network ${name}`, options, (docker) =>
      docker.getNetwork(encodeURIComponent(name)).remove(),
    );
    await unlessStatus([404], removed);
  }

  async inspectVolume(name: string, options: CallOptions = {}): Promise<VolumeDetails | null> {
    const answer = this.#calls.call(`inspect volume ${name}`, options, (docker) =>
      docker.getVolume(encodeURIComponent(name)).inspect(),
    );
    return await readUnlessGone(VolumeDetails, answer);
  }

  async createVolume(
    name: string,
    labels: Readonly<Record<string, string>>,
    options: CallOptions = {},
  ): Promise<void> {
    await this.#calls.call(`create volume ${name}`, options, (docker) => {
      const ask: Docker.VolumeCreateOptions & Body = {
        _query: {},
        _body: { Name: name, Driver: 'local', Labels: labels },
      };
      return docker.createVolume(ask);
    });
  }

  /** Where Docker keeps images and volumes. Asked once per daemon: it is one of its slowest answers. */
  async dataRoot(options: CallOptions = {}): Promise<string> {
    if (this.#dataRoot !== null) return this.#dataRoot;
    const answer: unknown = await this.#calls.call('info', options, (docker) => docker.info());
    const { DockerRootDir } = read(z.object({ DockerRootDir: z.string() }), answer);
    this.#dataRoot = DockerRootDir;
    return DockerRootDir;
  }

  /** The daemon's events until it goes away or the signal aborts; `sinceSeconds` brings back what was missed. */
  async *events(
    filters: Readonly<Record<string, readonly string[]>>,
    options: { signal: AbortSignal; sinceSeconds?: number | undefined },
  ): AsyncGenerator<DockerEvent> {
    const ask: Docker.GetEventsOptions = {
      filters: JSON.stringify(filters),
      ...(options.sinceSeconds === undefined ? {} : { since: options.sinceSeconds }),
    };
    const told = this.#calls.stream('events', { signal: options.signal }, (docker) => docker.getEvents(ask));
    for await (const line of jsonLines(told)) {
      const event = DockerEvent.safeParse(line);
      if (event.success) yield event.data;
    }
  }

  async ping(options: CallOptions = {}): Promise<void> {
    await this.#calls.call('ping', { timeoutMs: 5_000, ...options }, (docker) => docker.ping());
  }

  close(): void {
    this.#calls.close();
  }
}

/** dockerode puts it into the address as it is. */
function container(docker: Docker, ref: string): Docker.Container {
  return docker.getContainer(encodeURIComponent(ref));
}
