import { z } from 'zod';
import { applyApp } from '../apply.ts';
import { confirm, readStdin } from '../output/ask.ts';
import { ago, timestamp } from '../output/format.ts';
import { clean } from '../output/style.ts';
import { fields, table } from '../output/table.ts';
import { registerAppFreeze } from './app-freeze.ts';
import { argument, collect, does, examples, NoOptions, type Register } from './define.ts';
import { registerAppSet } from './app-set.ts';
import { allPages } from './pages.ts';
import { noteWarnings, releaseTable } from './release-text.ts';

export const registerApp: Register = (program, contextOf) => {
  const app = program.command('app').description('apps: the templates tenants are made from');

  const apply = app
    .command('apply')
    .description('create an app, or its next release, from a Compose file')
    .requiredOption('-f, --file <compose.yaml>', 'the Compose file; - reads it from stdin')
    .option('--name <app>', "the app's name; without it the file's own `name:`")
    .option('--set <k=v>', 'a variable of the release, such as VERSION=2; may be said again', collect)
    .option('--label <k=v>', 'a label of the release, such as commit=abc123', collect);
  examples(apply, [
    ['berth app apply -f compose.yaml', ''],
    ['berth app apply -f compose.yaml --set VERSION=2', ''],
    ['berth app apply -f compose.yaml --name shop --label commit=abc123', ''],
  ]);
  const applyOptions = z.object({
    file: z.string(),
    name: z.string().optional(),
    set: z.array(z.string()).default([]),
    label: z.array(z.string()).default([]),
  });
  does(apply, contextOf, applyOptions, async (context, _args, options) => {
    const { output } = context;
    const stdin = options.file === '-';
    const applied = await applyApp(context.api(), context.cwd, context.signal, {
      ...options,
      // Env files named in it are looked for in this directory.
      ...(stdin ? { file: 'stdin', text: await readStdin(context, 'a Compose file', 262_144) } : {}),
    });
    output.json(applied);
    noteWarnings(output, stdin ? 'stdin' : options.file, applied.warnings);
    output.print(
      applied.result === 'created'
        ? `${applied.app}: release ${applied.release} created`
        : `${applied.app}: nothing new, release ${applied.release} stays the newest`,
    );
    if (applied.result === 'created') output.print(output.style.dim(nextAfter(applied)));
  });

  does(app.command('list').description('all apps'), contextOf, NoOptions, async (context) => {
    const { output, clock } = context;
    const api = context.api();
    const items = await allPages((query) => api.listApps({ query }, context.signal));
    output.json({ items });
    const rows = items.map((one) => [
      one.app,
      String(one.release),
      String(one.current),
      String(one.tenants),
      one.frozen === null ? 'may go on' : output.style.yellow(`frozen: ${clean(one.frozen)}`),
      ago(one.updatedAt, clock.now()),
    ]);
    output.print(
      rows.length === 0
        ? 'No apps yet, or none that this token may see. Make one: berth app apply -f compose.yaml'
        : table(['APP', 'NEWEST', 'CURRENT', 'TENANTS', 'ROLLOUTS', 'CHANGED'], rows, output.style),
    );
  });

  const show = app.command('show').description('one app and its releases').argument('<app>');
  does(show, contextOf, NoOptions, async (context, args) => {
    const { output } = context;
    const api = context.api();
    const params = { app: argument(args, 0) };
    const one = await api.showApp({ params }, context.signal);
    const releases = await api.listReleases({ params, query: { limit: 20 } }, context.signal);
    output.json({ ...one, releases: releases.items });
    output.print(
      fields(
        [
          ['app', one.app],
          ['current', `release ${one.current}; new tenants begin with it`],
          [
            'rollouts',
            one.frozen === null ? 'may go on' : output.style.yellow(`frozen: ${clean(one.frozen)}`),
          ],
          ['tenants', String(one.tenants)],
          ['created', timestamp(one.createdAt)],
        ],
        output.style,
      ),
    );
    output.print(`\n${releaseTable(releases.items, output.style)}`);
  });

  registerAppFreeze(app, contextOf);

  registerAppSet(app, contextOf);

  const remove = app
    .command('delete')
    .description('remove an app that has no tenants')
    .argument('<app>')
    .option('-y, --yes', 'do not ask');
  does(remove, contextOf, z.object({ yes: z.boolean().default(false) }), async (context, args, options) => {
    const name = argument(args, 0);
    const answer = await confirm(context, `Delete the app ${name} and all its releases?`, options.yes);
    if (answer === 'no') {
      context.output.print('Nothing was changed.');
      return;
    }
    const done = await context.api().deleteApp({ params: { app: name } }, context.signal);
    context.output.json({ app: name, ...done });
    context.output.print(`${name} is deleted`);
  });
};

/** What one does with a release: tenants stay where they are until they are told. */
function nextAfter({ app, release }: { app: string; release: number }): string {
  return release === 1
    ? `Next, a customer of it: berth tenant create acme --app ${app} --domain acme.example.com`
    : `Tenants stay where they are. Move them: berth rollout start ${app} --to ${release}`;
}
