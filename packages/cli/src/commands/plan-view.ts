import type { Tenant, TenantPlan } from '@berth/shared/api/schemas';
import { unreachable } from '@berth/shared/domain/errors';
import { findingLines } from '../output/errors.ts';
import { shortDigests } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import { clean } from '../output/style.ts';
import { fieldChange } from './change-words.ts';

/** A plan for a person: what changes, before and after, and what the host would do about it. */
export function planView(
  plan: TenantPlan,
  output: Pick<Output, 'style'>,
  state: Tenant['state'] = 'running',
): string {
  const { style } = output;
  const lines: string[] = [];
  for (const change of plan.changes) lines.push(`  ${fieldChange(change, style, 2)}`);
  if (plan.warnings.length > 0) lines.push(style.yellow(findingLines('warning', plan.warnings)));
  switch (plan.effect) {
    case 'none':
      lines.push(
        plan.changes.length === 0
          ? 'Nothing would change.'
          : 'What it runs and what it may reach stay the same.',
      );
      return lines.join('\n');
    case 'routes-only':
      lines.push(
        state === 'paused'
          ? 'Only its routes change; it stays paused.'
          : 'Only its routes change; no container is touched.',
      );
      break;
    case 'new-generation':
      lines.push(
        state === 'paused'
          ? `Generation ${plan.fromGeneration} → ${plan.toGeneration}, once it is resumed; it stays paused.`
          : `Generation ${plan.fromGeneration} → ${plan.toGeneration}; what serves now goes on until the new one is healthy.`,
      );
      break;
    default:
      unreachable(plan.effect);
  }
  if (plan.stepsFrom === 'unavailable') lines.push(style.yellow(withoutSteps(plan)));
  plan.steps.forEach((step, index) =>
    lines.push(`  ${style.dim(`${index + 1}.`)} ${shortDigests(clean(step.title))}`),
  );
  return lines.join('\n');
}

function withoutSteps({ stepsMissing }: TenantPlan): string {
  // A coordinator from before there was more does not say why.
  if (stepsMissing === undefined)
    return 'Its steps are not known: the host is offline and acts once it is back, or it would refuse this.';
  const message = clean(stepsMissing.message);
  return stepsMissing.why === 'refused'
    ? `It would be refused: ${message}`
    : `Its steps are not known: ${message}`;
}
