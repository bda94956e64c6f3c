import { z } from 'zod';
import { Ended, EXIT } from '../exit-codes.ts';
import { homeOf } from '../local/home.ts';
import { hasOwnDocker, verbsOf } from '../local/started-by.ts';
import { tearDown, whatIsThere } from '../local/teardown.ts';
import { confirm } from '../output/ask.ts';
import { does, examples, type Register } from './define.ts';

export const registerDown: Register = (program, contextOf) => {
  const down = program
    .command('down')
    .description('remove the local instance: daemons, containers, networks, volumes, images it built, state')
    .option('-y, --yes', 'do not ask');
  examples(down, [
    ['berth down', 'shows what would go, and asks'],
    ['berth down -y --json', ''],
  ]);
  does(down, contextOf, z.object({ yes: z.boolean().default(false) }), async (context, _args, options) => {
    const { output } = context;
    const home = homeOf(context.env, context.cwd);
    const verbs = verbsOf(context.env, home);
    if (!options.yes) {
      const there = await whatIsThere(home);
      if (there.length > 0) {
        output.print(
          `This removes, for good:\n${there.map((what) => `  ${output.style.red('-')} ${what}`).join('\n')}`,
        );
        if ((await confirm(context, 'Go on?', false)) === 'no') {
          output.print('Nothing was changed.');
          return;
        }
      }
    }
    const result = await tearDown(home, (sentence) => output.print(sentence));
    output.json({ home: home.dir, ...result });
    for (const what of result.kept) output.print(`left, others use it: ${what}`);
    for (const what of result.remaining) output.note(`${output.errorStyle.red('remains:')} ${what}`);
    if (result.remaining.length > 0) {
      output.note(`The state is kept, so that ${verbs.remove} can be run again once that is settled.`);
      throw new Ended(EXIT.failed);
    }
    if (result.removed.length === 0) output.print(`There is no local instance in ${home.dir}.`);
    if (context.env['BERTH_STARTED_BY'] !== 'npm' && hasOwnDocker(home))
      output.print(
        'The Docker daemon that npm start began still runs: npm stop ends it and removes its data.',
      );
  });
};
