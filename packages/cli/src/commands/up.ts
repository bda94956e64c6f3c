import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { Option } from 'commander';
import { join } from 'node:path';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { Ended, EXIT } from '../exit-codes.ts';
import { bringUp, type Local } from '../local/bring-up.ts';
import { dockerSocketOf } from '../local/docker.ts';
import { homeAt, homeOf, processFile, type Home } from '../local/home.ts';
import { readInstance } from '../local/instance.ts';
import { liveStatus } from '../local/live.ts';
import { recordedProcess } from '../local/process.ts';
import { verbsOf } from '../local/started-by.ts';
import { sayWhatGoesOn, tenantsHere, type Visited } from '../local/still-answering.ts';
import { openShop, type Shop } from '../local/shop.ts';
import { tearDown } from '../local/teardown.ts';
import { switchUnderLoad, type SwitchResult } from '../local/trial.ts';
import { printError } from '../output/errors.ts';
import { createStepList } from '../output/steps.ts';
import { does, examples, type Register } from './define.ts';
import { parsePort } from './parse.ts';

const UpFlags = z.object({
  example: z.boolean().default(false),
  once: z.boolean().default(false),
  checkArgs: z.boolean().default(false),
  // Read before anything is started or torn down.
  port: port('--port'),
  httpPort: port('--http-port'),
});

function port(option: string) {
  return z
    .string()
    .transform((text) => parsePort(text, option))
    .optional();
}

export const registerUp: Register = (program, contextOf) => {
  const up = program
    .command('up')
    .description('one machine: coordinator, agent and Nginx, with embedded defaults, in the foreground')
    .option('--example', 'also build the example app and create two tenants of it')
    .option('--once', 'try it all non-interactively in a place of its own, deploy under load, tear it down')
    .option('--port <port>', "the API's port, at the first start")
    .option('--http-port <port>', "Nginx's port, at the first start")
    .addOption(new Option('--check-args', 'only look at the command line').hideHelp());
  examples(up, [
    ['berth up --example', 'Ctrl-C stops coordinator and agent; the tenants go on'],
    ['berth up --once --example', 'a check of everything; ends with one JSON line'],
    ['berth down', 'removes it all'],
  ]);
  does(up, contextOf, UpFlags, async (context, _args, flags) => {
    if (flags.checkArgs) return;
    if (flags.once) await once(context, flags);
    else await stay(context, flags);
  });
};

type Flags = z.output<typeof UpFlags>;
type Say = (sentence: string) => void;

function start(context: Context, flags: Flags, home: Home, say: Say): Promise<Local> {
  return bringUp({
    home,
    dockerSocket: dockerSocketOf(context.env),
    coordinatorPort: flags.port,
    httpPort: flags.httpPort,
    env: context.env,
    clock: context.clock,
    random: Math.random,
    signal: context.signal,
    say,
  });
}

function open(context: Context, local: Local, say: Say, names: 'own' | 'usual'): Promise<Shop> {
  return openShop({
    local,
    names,
    cwd: context.cwd,
    signal: context.signal,
    clock: context.clock,
    say,
    list: () => createStepList(context.output, context.clock),
  });
}

async function stay(context: Context, flags: Flags): Promise<void> {
  const { output, signal } = context;
  const home = homeOf(context.env, context.cwd);
  let say: Say = (sentence) => {
    if (output.format === 'json') output.note(sentence);
    else output.print(sentence);
  };
  const local = await start(context, flags, home, (sentence) => say(sentence));
  let shop: Shop | undefined;
  let known: Visited[] = [];
  try {
    shop = flags.example ? await open(context, local, (sentence) => say(sentence), 'usual') : undefined;
    sayLive(context, local, shop);
    const status = liveStatus(local.api, output, 2000);
    say = (sentence) => status.say(sentence);
    await status.run(signal);
    known = await tenantsHere(local);
  } finally {
    say = (sentence) => (output.format === 'json' ? output.note(sentence) : output.print(sentence));
    say('stopping agent and coordinator …');
    await local.stop();
    await sayWhatGoesOn(local.instance, known, say);
  }
}

/** What a person needs to know once everything is live. */
function sayLive(context: Context, local: Local, shop: Shop | undefined): void {
  const { output } = context;
  const { style } = output;
  const shown = local.tokenOrigin === 'made' ? { token: local.token } : {};
  output.jsonLine({
    event: 'live',
    url: local.url,
    host: local.host,
    tenants: shop?.tenants ?? [],
    ...shown,
  });
  output.print('');
  for (const one of shop?.tenants ?? []) {
    output.print(`${style.bold(one.tenant.padEnd(8))} ${style.cyan(one.url)}`);
    output.print(`         curl -H 'Host: ${one.domain}' http://127.0.0.1:${local.instance.httpPort}/`);
  }
  output.print(`${style.bold('API     ')} ${style.cyan(local.url)}`);
  if (local.tokenOrigin === 'made') {
    output.print(`${style.bold('token   ')} ${local.token}`);
    output.print(
      style.dim('         an admin token, shown this once; ./bin/berth on this machine uses it by itself'),
    );
  }
  const next =
    shop === undefined
      ? ['app apply -f compose.yaml', 'tenant create acme --app shop --domain acme.localhost', 'doctor']
      : ['tenant list', 'tenant set acme --var GREETING=hi', 'tenant explain acme'];
  output.print(`\nTry next, in another terminal:\n${next.map((line) => `  ./bin/berth ${line}`).join('\n')}`);
  const { remove } = verbsOf(context.env, local.home);
  const all = remove === 'npm stop' ? remove : './bin/berth down';
  output.print(`\nCtrl-C stops coordinator and agent; tenants go on. To remove it all: ${all}\n`);
}

/** Everything once, in a home of its own below BERTH_HOME, so that an instance that is there is never touched. */
async function once(context: Context, flags: Flags): Promise<void> {
  const { output, clock } = context;
  const began = clock.now();
  const say: Say = (sentence) => output.note(sentence);
  const home = homeAt(join(homeOf(context.env, context.cwd).dir, 'once'));
  const other = recordedProcess(processFile(home, 'up'));
  if (other !== undefined) {
    throw new BerthError(
      'conflict',
      `berth up --once already runs for ${home.dir} (process ${other.pid}). Wait for it, or stop it.`,
    );
  }
  // What a killed run left behind goes first.
  if (readInstance(home) !== undefined) await tearDown(home, say);

  let result: { tenants: number; switch: SwitchResult | null } = { tenants: 0, switch: null };
  let problem: string | null = null;
  let local: Local | undefined;
  try {
    local = await start(context, flags, home, say);
    if (flags.example) {
      const shop = await open(context, local, say, 'own');
      result = { ...result, tenants: shop.tenants.length };
      say('deploying version 2 to acme under load …');
      const list = createStepList(output, clock);
      result.switch = await switchUnderLoad({ local, shop, signal: context.signal, clock, list });
      say(`${result.switch.requests} requests during the switch, ${result.switch.failed} failed`);
    }
  } catch (thrown) {
    problem = context.signal.aborted ? 'interrupted' : messageOf(thrown);
    if (!context.signal.aborted) printError(thrown, output);
  }
  say('tearing down …');
  await local?.stop();
  const gone = await tearDown(home, say);
  for (const what of gone.kept) say(`left, others use it: ${what}`);
  for (const what of gone.remaining) say(`remains: ${what}`);
  const failed = result.switch?.failed ?? 0;
  const ok = problem === null && failed === 0 && gone.remaining.length === 0;
  const seconds = Math.round((clock.now() - began) / 100) / 10;
  const summary = {
    ok,
    tenants: result.tenants,
    switch: result.switch,
    seconds,
    ...(problem === null ? {} : { problem }),
    ...(gone.remaining.length === 0 ? {} : { remaining: gone.remaining }),
  };
  output.stdout.write(`${JSON.stringify(summary)}\n`);
  if (!ok) throw new Ended(EXIT.failed);
}
