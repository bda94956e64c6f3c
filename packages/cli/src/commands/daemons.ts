import { BerthError } from '@berth/shared/domain/errors';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { z } from 'zod';
import { Ended, EXIT } from '../exit-codes.ts';
import { daemonFlags, daemonLibc, daemonScript, type Daemon } from '../local/dist.ts';
import { does, examples, GlobalOptions, NoOptions, type Register } from './define.ts';

export const registerCoordinator: Register = (program, contextOf) => {
  const coordinator = daemonCommand(program, 'coordinator', 'run the coordinator in the foreground');
  examples(coordinator, [
    ['berth coordinator --config coordinator.json', ''],
    ['berth coordinator confirm-epoch', 'after a restore from a backup'],
  ]);
  const confirmEpoch = coordinator
    .command('confirm-epoch')
    .description('leave observe-only mode: this coordinator knows best, agents may act on what it says');
  does(confirmEpoch, contextOf, NoOptions, async (context) => {
    const now = await context.api().confirmEpoch({}, context.signal);
    context.output.json(now);
    context.output.print(`Epoch ${now.epoch} is confirmed; the mode is ${now.mode}.`);
  });
};

export const registerAgent: Register = (program) => {
  const agent = daemonCommand(program, 'agent', 'run the agent of this host in the foreground');
  examples(agent, [['berth agent --config /etc/berth/agent.json', '']]);
};

function daemonCommand(program: Command, daemon: Daemon, description: string): Command {
  const command = program
    .command(daemon)
    .description(description)
    .option('--config <file>', 'its JSON config file');
  command.action(async () => {
    const { config } = z.object({ config: z.string().optional() }).parse(command.opts());
    GlobalOptions.parse(command.optsWithGlobals());
    await become(daemon, config === undefined ? [] : ['--config', config]);
  });
  return command;
}

/** Puts the daemon in this process's place, so that a supervisor's signals and pid are the daemon's own. */
async function become(daemon: Daemon, args: readonly string[]): Promise<void> {
  const script = daemonScript(daemon);
  if (!existsSync(script))
    throw new BerthError('internal', `${script} was not built. Build it: npm run build`);
  const argv = [...daemonFlags(daemon), script, ...args];
  const env = { ...process.env, ...daemonLibc(daemon) };
  if (typeof process.execve === 'function') {
    process.execve(process.execPath, [process.execPath, ...process.execArgv, ...argv], env);
  }
  const child = spawn(process.execPath, [...process.execArgv, ...argv], { stdio: 'inherit', env });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  const [code] = z.tuple([z.number().nullable(), z.unknown()]).parse(await once(child, 'close'));
  if (code !== 0) throw new Ended(EXIT.failed);
}
