import type { Command } from 'commander';
import { z } from 'zod';
import { confirm } from '../output/ask.ts';
import { argument, does, examples, type ContextOf } from './define.ts';
import { followChange } from './deploy.ts';
import { addWaitOptions, WaitFlags } from './wait-options.ts';

const VERBS = {
  pause: {
    description: 'stop its containers and serve a 503 maintenance page',
    goal: 'paused',
    says: (tenant: string) => `${tenant}: stop the containers, serve the maintenance page`,
  },
  resume: {
    description: 'bring a paused tenant back',
    goal: 'live',
    says: (tenant: string) => `${tenant}: start the containers, then open the route`,
  },
  restart: {
    description: 'a new generation of the same release; also tries a failed one again',
    goal: 'live',
    says: (tenant: string) => `${tenant}: a new generation of the same release, without dropping a request`,
  },
} as const;

export function registerTenantChanges(tenant: Command, contextOf: ContextOf): void {
  for (const verb of ['pause', 'resume', 'restart'] as const) {
    const facts = VERBS[verb];
    const command = tenant.command(verb).description(facts.description).argument('<tenant>');
    addWaitOptions(command);
    does(command, contextOf, WaitFlags, async (context, args, flags) => {
      const name = argument(args, 0);
      const api = context.api();
      const call = { pause: api.pauseTenant, resume: api.resumeTenant, restart: api.restartTenant }[verb];
      const changed = await call({ params: { tenant: name } }, context.signal);
      if (changed.result === 'changed') context.output.print(facts.says(name));
      await followChange(context, changed, facts.goal, flags);
    });
  }

  const remove = tenant
    .command('delete')
    .description('remove a tenant; its volumes stay on the host')
    .argument('<tenant>')
    .option('-y, --yes', 'do not ask');
  addWaitOptions(remove);
  examples(remove, [['berth tenant delete acme', 'shows what would go, and asks']]);
  const flags = WaitFlags.extend({ yes: z.boolean().default(false) });
  does(remove, contextOf, flags, async (context, args, given) => {
    const { output } = context;
    const name = argument(args, 0);
    const api = context.api();
    const now = await api.explainTenant({ params: { tenant: name } }, context.signal);
    output.print(`This removes ${output.style.bold(name)} from ${now.host.name}:`);
    for (const container of now.containers)
      output.print(`  ${output.style.red('-')} container ${container.name}`);
    const shown = await api.showTenant({ params: { tenant: name } }, context.signal);
    for (const domain of shown.domains) output.print(`  ${output.style.red('-')} route ${domain}`);
    output.print(
      shown.database === undefined
        ? 'Its volumes stay on the host.'
        : `Its volumes stay on the host, and its database ${shown.database.schema ?? shown.database.database} on server ${shown.database.server}.`,
    );
    if ((await confirm(context, `Delete ${name}?`, given.yes)) === 'no') {
      output.print('Nothing was changed.');
      return;
    }
    const changed = await api.deleteTenant({ params: { tenant: name } }, context.signal);
    await followChange(context, changed, 'removed', given);
  });
}
