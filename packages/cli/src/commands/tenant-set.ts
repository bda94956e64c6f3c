import type { ChangeTenant } from '@berth/shared/api/schemas';
import type { Command } from 'commander';
import { z } from 'zod';
import { UsageError } from '../exit-codes.ts';
import { argument, collect, does, examples, type ContextOf } from './define.ts';
import { followChange } from './deploy.ts';
import { parseCount, parseEgress } from './parse.ts';
import { planView } from './plan-view.ts';
import { addVariableOptions, variableChanges, VariableFlags } from './variable-flags.ts';
import { addWaitOptions, WaitFlags } from './wait-options.ts';

const ChangeFlags = VariableFlags.extend({
  domain: z.array(z.string()).optional(),
  release: z.string().optional(),
  egress: z.string().optional(),
  dedicated: z.boolean().optional(),
  shared: z.boolean().optional(),
});

export function registerTenantSet(tenant: Command, contextOf: ContextOf): void {
  const set = withChangeFlags(
    tenant
      .command('set')
      .description('change variables, domains or the release; deploys without dropping a request')
      .argument('<tenant>'),
  );
  addWaitOptions(set);
  examples(set, [
    ['berth tenant set acme --var GREETING=hi', ''],
    ['berth tenant set acme --release 4', ''],
    ['berth tenant set acme --egress none', 'at once, and without touching a container'],
    ['berth tenant set acme --domain acme.example.com --domain shop.acme.com', 'all domains, not one more'],
  ]);
  does(set, contextOf, ChangeFlags.extend(WaitFlags.shape), async (context, args, given) => {
    const name = argument(args, 0);
    const api = context.api();
    const body = changeOf(given, context.cwd);
    const input = { params: { tenant: name }, body };
    const { state } = await api.showTenant({ params: { tenant: name } }, context.signal);
    const plan = await api.planTenant(input, context.signal);
    // Who else may be on its host is no part of the plan: nothing of the tenant itself changes with it.
    const tenancyAlone = body.tenancy !== undefined && plan.effect === 'none' && plan.changes.length === 0;
    // What is refused has an error that says why, and no plan.
    const changed = await api.changeTenant(input, context.signal);
    if (!tenancyAlone) context.output.show(planView(plan, context.output, state));
    const { warnings } = plan;
    if (body.tenancy !== undefined) context.output.print(tenancyLine(name, body.tenancy));
    if (tenancyAlone && changed.result === 'unchanged') {
      context.output.json({ ...changed, outcome: 'unchanged', warnings });
      return;
    }
    if (state === 'paused') {
      context.output.json({ ...changed, outcome: 'paused', warnings });
      if (changed.result === 'changed') context.output.print(`Kept for: berth tenant resume ${name}`);
      return;
    }
    const ending = given.domain === undefined ? 'network.ensure' : 'ingress.apply';
    const lastStep = plan.effect === 'routes-only' ? ending : undefined;
    await followChange(context, changed, 'live', given, { lastStep, warnings });
  });

  const plan = withChangeFlags(
    tenant.command('plan').description('what a change would do, without doing it').argument('<tenant>'),
  );
  examples(plan, [['berth tenant plan acme --var GREETING=hi', '']]);
  does(plan, contextOf, ChangeFlags, async (context, args, given) => {
    const params = { tenant: argument(args, 0) };
    const body = changesOrNothing(given, context.cwd);
    const api = context.api();
    const { state } = await api.showTenant({ params }, context.signal);
    const answer = await api.planTenant({ params, body }, context.signal);
    context.output.json(answer);
    context.output.show(planView(answer, context.output, state));
  });
}

function tenancyLine(tenant: string, tenancy: 'dedicated' | 'shared'): string {
  return tenancy === 'dedicated'
    ? `${tenant} has its host to itself: no other tenant is placed there.`
    : `Other tenants may be placed on the host of ${tenant}.`;
}

function withChangeFlags(command: Command): Command {
  return addVariableOptions(command)
    .option('--domain <domain>', 'all its domains from now on; may be said again', collect)
    .option('--release <n>', 'move to this release')
    .option(
      '--egress <policy>',
      'where it may connect to: internet, public, none, addresses such as 10.1.0.0/16,192.0.2.7, or release (as its release says)',
    )
    .option('--dedicated', 'no other tenant is placed on its host from now on; refused while there is one')
    .option('--shared', 'other tenants may be placed on its host again');
}

function changeOf(given: z.infer<typeof ChangeFlags>, cwd: string): ChangeTenant {
  const change = changesOrNothing(given, cwd);
  if (Object.keys(change).length === 0) {
    throw new UsageError(
      'Say what to change.',
      'One of --var, --var-file, --unset, --domain, --release, --egress, --dedicated, --shared.',
    );
  }
  return change;
}

function changesOrNothing(given: z.infer<typeof ChangeFlags>, cwd: string): ChangeTenant {
  if (given.dedicated === true && given.shared === true)
    throw new UsageError('A tenant has its host to itself or shares it.', 'Say --dedicated or --shared.');
  const variables = variableChanges(given, cwd);
  return {
    ...(Object.keys(variables).length === 0 ? {} : { variables }),
    ...(given.domain === undefined ? {} : { domains: given.domain }),
    ...(given.release === undefined ? {} : { release: parseCount(given.release, '--release') }),
    ...(given.egress === undefined
      ? {}
      : { egress: given.egress === 'release' ? null : parseEgress(given.egress) }),
    ...(given.dedicated === true ? { tenancy: 'dedicated' as const } : {}),
    ...(given.shared === true ? { tenancy: 'shared' as const } : {}),
  };
}
