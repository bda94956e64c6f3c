import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Answer {
  status: number;
  body: string;
  headers: Record<string, string>;
}

export interface Place {
  address: string;
  port: number;
  /** The Host header. */
  domain: string;
  path?: string;
}

/** One request through Nginx. Rejects when there is no answer. */
export function ask(place: Place, agent?: Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        host: place.address,
        port: place.port,
        path: place.path ?? '/',
        headers: { host: place.domain },
        timeout: 10_000,
        ...(agent === undefined ? { agent: false } : { agent }),
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (body += chunk));
        response.on('error', reject);
        response.on('end', () => {
          const headers = Object.fromEntries(
            Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
          );
          resolve({ status: response.statusCode ?? 0, body, headers });
        });
      },
    );
    asked.on('timeout', () => asked.destroy(new Error('no answer in 10 s')));
    asked.on('error', reject);
    asked.end();
  });
}

export interface LoadReport {
  requests: number;
  /** What went wrong, each with when. */
  failed: string[];
  /** How often each body came. */
  answers: Map<string, number>;
}

export interface Load {
  /** The numbers so far. */
  now(): LoadReport;
  stop(): Promise<LoadReport>;
}

/**
 * Keeps asking over a few kept connections. Every answer that is not 200, and every connection that breaks, counts as
 * failed.
 */
export function startLoad(place: Place, options: { connections?: number; pauseMs?: number } = {}): Load {
  const { connections = 4, pauseMs = 5 } = options;
  const report: LoadReport = { requests: 0, failed: [], answers: new Map() };
  const stopping = new AbortController();
  const agent = new Agent({ keepAlive: true, maxSockets: connections });

  async function client(): Promise<void> {
    while (!stopping.signal.aborted) {
      const began = Date.now();
      report.requests += 1;
      try {
        const { status, body } = await ask(place, agent);
        if (status === 200) report.answers.set(body, (report.answers.get(body) ?? 0) + 1);
        else report.failed.push(`${stamp(began)} status ${status} ${body.slice(0, 80)}`);
      } catch (thrown) {
        report.failed.push(`${stamp(began)} ${String(thrown)}`);
      }
      await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }
  const clients = Array.from({ length: connections }, () => client());

  return {
    now: () => report,
    async stop() {
      stopping.abort();
      await Promise.all(clients);
      agent.destroy();
      return report;
    },
  };
}

function stamp(at: number): string {
  return `${new Date(at).toISOString()} +${Date.now() - at} ms`;
}
