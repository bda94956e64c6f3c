import './memory.ts';
import { setTimeout as wait } from 'node:timers/promises';
import pino, { type Logger } from 'pino';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { readConfig } from './config.ts';
import { createContext, type Context } from './context.ts';
import { failpointFrom } from './failpoint.ts';
import { openSecretsAtBoot } from './open-secrets.ts';
import { AnotherMachine } from './link/enrol-aws.ts';

const RETRY_MS = 2_000;
/** IMDS, STS or a coordinator that is down is not asked more often than this once it has been down for a while. */
const LONGEST_RETRY_MS = 30_000;

/** For the boot unit: opens the host's secrets and ends. */
const OPEN_SECRETS = '--open-secrets';

/** The agent: `--config FILE`. Prints one JSON line when it works; logs go to stderr. */
async function main(): Promise<void> {
  const given = process.argv.slice(2);
  const config = readConfig(given.filter((each) => each !== OPEN_SECRETS));
  if (given.includes(OPEN_SECRETS)) {
    const problems = await openSecretsAtBoot(config);
    for (const problem of problems) process.stderr.write(`berth agent: ${problem}\n`);
    process.exitCode = problems.length === 0 ? 0 : 1;
    return;
  }
  const log = pino({ name: 'berth-agent', level: config.logLevel }, pino.destination({ fd: 2, sync: false }));
  const stopping = new AbortController();
  const { signal } = stopping;
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (signal.aborted) process.exit(1);
      log.info({ signal: name }, 'Stopping; the tenants run on.');
      stopping.abort(new Error('the agent stops'));
    });
  }

  const context = await createContext(config, log, failpointFrom(process.env));
  try {
    await context.prepare(signal);
    // The tenants come first: what was desired last is kept up whether or not the coordinator answers.
    const loop = context.loop.run(signal);
    const link = connect(context, log, signal);
    const traffic = context.traffic.run(signal);
    const secrets = context.secrets.run(signal);
    await Promise.race([loop, link]);
    stopping.abort(new Error('the agent stops'));
    await Promise.all([loop, link, traffic, secrets]);
  } catch (thrown) {
    const stopped = signal.aborted;
    // What still runs ends as well, so that the process does.
    stopping.abort(new Error('the agent stops'));
    if (!stopped) throw thrown;
  } finally {
    context.close();
  }
  log.info({}, 'Stopped.');
}

/** Enrols, however long that takes, and stays connected. */
async function connect(context: Context, log: Logger, signal: AbortSignal): Promise<void> {
  let said = '';
  let tries = 0;
  while (!signal.aborted) {
    try {
      const host = await context.enrol(signal);
      process.stdout.write(`${JSON.stringify({ event: 'ready', host })}\n`);
      break;
    } catch (thrown) {
      if (signal.aborted) return;
      // Only a start can set aside what the disk brought along.
      if (thrown instanceof AnotherMachine) throw thrown;
      const sentence = messageOf(thrown);
      if (sentence !== said)
        log.error({ code: thrown instanceof BerthError ? thrown.code : 'internal' }, sentence);
      said = sentence;
      const ms = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.min(tries, 10)) * (0.5 + Math.random() / 2);
      tries += 1;
      await wait(ms, undefined, { signal }).catch(() => undefined);
    }
  }
  if (!signal.aborted) await context.link.run(signal);
}

main().catch((thrown: unknown) => {
  const sentence =
    thrown instanceof BerthError ? thrown.message : String(thrown instanceof Error ? thrown.stack : thrown);
  process.stderr.write(`berth agent: ${sentence}\n`);
  process.exitCode = 1;
});
