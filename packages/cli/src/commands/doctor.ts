import { unreachable } from '@berth/shared/domain/errors';
import { Ended, EXIT } from '../exit-codes.ts';
import { runChecks, type Check } from '../local/checks.ts';
import { homeOf } from '../local/home.ts';
import { foldLine } from '../output/fold.ts';
import { clean, type Style } from '../output/style.ts';
import { does, examples, GlobalOptions, NoOptions, type Register } from './define.ts';

export const registerDoctor: Register = (program, contextOf) => {
  const doctor = program
    .command('doctor')
    .description('what Berth needs on this machine, and whether it is there');
  examples(doctor, [
    ['berth doctor', ''],
    ['berth doctor --json | jq .checks', ''],
  ]);
  does(doctor, contextOf, NoOptions, async (context) => {
    const { output } = context;
    const given = GlobalOptions.parse(doctor.optsWithGlobals());
    const checks = await runChecks({
      home: homeOf(context.env, context.cwd),
      env: context.env,
      cwd: context.cwd,
      clock: context.clock,
      connection: { url: given.url, tokenFile: given.tokenFile },
    });
    const failed = checks.filter((one) => one.state === 'fail').length;
    output.json({ ok: failed === 0, checks });
    output.show(checksView(checks, output.style));
    if (failed > 0) throw new Ended(EXIT.failed);
  });
};

/** A line or several for each check, its advice below it. */
export function checksView(checks: readonly Check[], style: Style): string {
  const width = Math.max(...checks.map((one) => one.check.length));
  const lines = checks.flatMap((one) => [
    ...foldLine(
      `${sign(one, style)} ${one.check.padEnd(width)}  ${clean(one.message)}`,
      style.room(),
      width + 4,
    ),
    ...(one.advice === null
      ? []
      : foldLine(`${' '.repeat(width + 4)}${style.dim('→')} ${clean(one.advice)}`, style.room(), width + 6)),
  ]);
  return lines.join('\n');
}

function sign(check: Check, style: Style): string {
  switch (check.state) {
    case 'ok':
      return style.green('✓');
    case 'warn':
      return style.yellow('!');
    case 'fail':
      return style.red('✗');
    default:
      return unreachable(check.state);
  }
}
