import { Agent, IncomingMessage } from 'node:http';
import { addAbortSignal } from 'node:stream';
import { inspect } from 'node:util';
import Docker from 'dockerode';
import { BerthError, messageOf } from '@berth/shared/domain/errors';

export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

export type Modem = Docker['modem'];

/**
 * One connection for each call. A kept one dies with the daemon, and the next call would be told so although the new
 * daemon is well; over a unix socket a new one costs some 0.1 ms.
 */
export class Connections extends Agent {
  constructor() {
    super({ keepAlive: false });
  }

  /** docker-modem describes each request to its debug log, also when nobody reads it: all open sockets, in depth. */
  [inspect.custom](): string {
    return 'Connections';
  }
}

export interface DialSettings {
  socketPath: string;
  agent: Agent;
  /** `v1.41`; undefined speaks the daemon's newest. */
  version: string | undefined;
  /** Ends the call, and what it streams. */
  signal: AbortSignal;
  /** `streamed`: answers as they come, for who reads them himself. */
  answers: 'parsed' | 'streamed';
  /** Hears the newest API version that the daemon knows. */
  onApiVersion: (version: string) => void;
}

/**
 * dockerode for one call, or for a few that share a time limit. Two things are put right in how it dials:
 * - every call obeys the signal; dockerode forgets it for some (network and image inspection).
 * - an answer that breaks off rejects; docker-modem never settles then, and `wait` has its headers at once and its
 *   body hours later.
 */
export function dockerFor(settings: DialSettings): Docker {
  const { socketPath, agent, version, signal } = settings;
  const options: Docker.DockerOptions & { agent: Agent } = { socketPath, agent };
  if (version !== undefined) options.version = version;
  const docker = new Docker(options);
  const { modem } = docker;
  const dial = modem.dial.bind(modem);
  modem.dial = (call, callback) => {
    dial({ ...call, isStream: true, abortSignal: signal }, (error, answer) => {
      if (error !== null || !(answer instanceof IncomingMessage)) {
        callback?.(error, answer);
        return;
      }
      const known = answer.headers['api-version'];
      if (typeof known === 'string') settings.onApiVersion(known);
      addAbortSignal(signal, answer);
      if (call.isStream === true || settings.answers === 'streamed') callback?.(null, answer);
      else void handOver(answer, callback);
    });
  };
  return docker;
}

type Callback = Parameters<Modem['dial']>[1];

async function handOver(answer: IncomingMessage, callback: Callback): Promise<void> {
  let value: object;
  try {
    value = await wholeAnswer(answer);
  } catch (cause) {
    callback?.(cause instanceof Error ? cause : new Error(messageOf(cause)), null);
    return;
  }
  callback?.(null, value);
}

/** Its JSON, or its bytes when it holds none: dockerode reads fields of what it is given, so never null. */
async function wholeAnswer(answer: IncomingMessage): Promise<object> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    if (!Buffer.isBuffer(chunk)) continue;
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES)
      throw new BerthError('internal', `Docker's answer is larger than ${MAX_ANSWER_BYTES} bytes.`);
    parts.push(chunk);
  }
  const bytes = Buffer.concat(parts);
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null ? value : bytes;
  } catch {
    return bytes;
  }
}
