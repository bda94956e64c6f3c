import { Command } from 'commander';
import { registerApp } from './commands/app.ts';
import { registerAudit } from './commands/audit.ts';
import { registerDatabase } from './commands/database.ts';
import { registerAgent, registerCoordinator } from './commands/daemons.ts';
import type { ContextOf, Register } from './commands/define.ts';
import { registerDoctor } from './commands/doctor.ts';
import { registerDown } from './commands/down.ts';
import { registerEvents } from './commands/events.ts';
import { registerHost } from './commands/host.ts';
import { registerLogin } from './commands/login.ts';
import { registerOidc } from './commands/oidc.ts';
import { registerPool } from './commands/pool.ts';
import { registerRollout } from './commands/rollout.ts';
import { registerRelease } from './commands/release.ts';
import { registerSecret } from './commands/secret.ts';
import { registerStatus } from './commands/status.ts';
import { registerTenant } from './commands/tenant.ts';
import { registerToken } from './commands/token.ts';
import { registerUp } from './commands/up.ts';
import type { Output } from './output/output.ts';
import { clean } from './output/style.ts';
import { usageWords } from './usage-words.ts';

const REGISTER: readonly Register[] = [
  registerUp,
  registerDown,
  registerStatus,
  registerDoctor,
  registerLogin,
  registerApp,
  registerRelease,
  registerTenant,
  registerSecret,
  registerDatabase,
  registerRollout,
  registerHost,
  registerPool,
  registerEvents,
  registerAudit,
  registerToken,
  registerOidc,
  registerCoordinator,
  registerAgent,
];

export const VERSION = '0.1.0';

/** The command line's whole grammar. Nothing runs and nothing exits here: what goes wrong is thrown. */
export function createProgram(output: Output, contextOf: ContextOf): Command {
  const program = new Command('berth');
  const quiet = (command: Command): void => {
    command
      .exitOverride()
      .configureHelp({ sortSubcommands: false })
      .configureOutput({
        writeOut: (text) => output.stdout.write(text),
        writeErr: (text) => output.stderr.write(text),
        getOutHelpWidth: () => Math.min(output.style.room(), 120),
        getErrHelpWidth: () => Math.min(output.errorStyle.room(), 120),
        outputError: (text, write) => {
          const { message, hint } = usageWords(command, text);
          if (output.format === 'json') {
            write(`${JSON.stringify({ error: { code: 'usage', message, hint } })}\n`);
          } else {
            output.note(`${output.errorStyle.red('error:')} ${clean(message)}\n${hint}`);
          }
        },
      });
    if (command.parent !== null)
      command.addHelpText(
        'after',
        '\nEverywhere: --json, --url <url>, --token-file <file>; see berth --help',
      );
    for (const child of command.commands) quiet(child);
  };
  program
    .description('One berth for every customer: per-tenant copies of an app on plain hosts.')
    .version(VERSION, '-V, --version')
    .option('--json', 'answers for machines')
    .option('--url <url>', 'the coordinator')
    .option('--token-file <file>', 'a file with the token');
  for (const register of REGISTER) register(program, contextOf);
  program.addHelpText(
    'after',
    `
Examples:
  berth up --example
      one machine, with an example app
  berth tenant create acme --app shop --domain acme.example.com
      a customer, live
  berth tenant explain acme
      why isn't it running?
  berth rollout start shop --to 13
      every customer, wave by wave

--json gives one JSON document, or JSON lines where output is followed. Without
--url and --token-file, BERTH_URL and BERTH_TOKEN or the login say where it goes
and as whom.

Exit codes: 0 ok, 1 failed, 2 usage, 3 unreachable, 4 not allowed.`,
  );
  quiet(program);
  return program;
}
