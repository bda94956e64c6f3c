import { z } from 'zod';
import { Ended, EXIT } from '../exit-codes.ts';
import { confirm } from '../output/ask.ts';
import { does, examples, NoOptions, type Register } from './define.ts';
import { showSecretKeys } from './secret-keys.ts';

/** The keys of secrets. A tenant's own are under `berth tenant secret`. */
export const registerSecret: Register = (program, contextOf) => {
  const secret = program.command('secret').description('the keys that wrap all secrets');

  const rotate = secret
    .command('rotate-key')
    .description('a new key, with which all versions of all secrets are wrapped')
    .option('--despite-lost-keys', 'also while a key of older secrets is missing: it is lost for good')
    .option('-y, --yes', 'do not ask');
  examples(rotate, [['berth secret rotate-key', 'no tenant notices; keep a new copy of the key file']]);
  const options = z.object({ yes: z.boolean().default(false), despiteLostKeys: z.boolean().default(false) });
  does(rotate, contextOf, options, async (context, _args, { yes, despiteLostKeys }) => {
    const { output } = context;
    if ((await confirm(context, 'Make a new key and wrap all secrets with it?', yes)) === 'no') {
      output.print('Nothing was changed.');
      return;
    }
    const body = despiteLostKeys ? { despiteLostKeys } : {};
    const done = await context.api().rotateSecretKey({ body }, context.signal);
    output.json(done);
    const wrapped = done.rewrapped === 1 ? '1 version is' : `${done.rewrapped} versions are`;
    output.print(`The key is ${done.current} now; ${wrapped} wrapped with it.`);
    if (done.current.startsWith('local:'))
      output.print('Copy the key file again, and keep the copy apart from those of the database.');
    for (const sentence of done.failed) output.print(output.style.red(sentence));
    if (done.failed.length > 0) throw new Ended(EXIT.failed);
  });

  does(
    secret.command('keys').description('the keys, what they wrap, and what cannot be opened'),
    contextOf,
    NoOptions,
    showSecretKeys,
  );
};
