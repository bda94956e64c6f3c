import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { ObservedContainer } from '@berth/shared/domain/observed';
import { membersOf } from './containers.ts';
import { hashOf } from './generation.ts';
import { servicesOf } from './services.ts';

/** Whether every container of this generation is still there, as it was made: then it can serve again at once. */
export function isWhole(desired: DesiredTenant, containers: readonly ObservedContainer[]): boolean {
  const members = membersOf(containers, desired.generation).filter((each) => each.state !== 'removing');
  return servicesOf(desired).every(({ spec, treatment }) => {
    const hash = hashOf(spec);
    const there = members.filter(
      (each) =>
        each.service === spec.name &&
        each.specHash === hash &&
        (each.role === 'keeper') === (treatment === 'keeper'),
    );
    return there.length >= spec.replicas;
  });
}
