import type { AwsRule } from '@berth/shared/api/enrolment';
import { clockFault, spanOf } from './clock.ts';
import type { InstanceDocument } from './document.ts';

/** An instance as it was proven: its document, and the role that signed for it. */
export interface ProvenInstance extends InstanceDocument {
  role: string;
}

/** Why this instance may not join by this rule, but for its tags; null when it may. */
export function ruleFault(rule: AwsRule, instance: ProvenInstance, at: number): string | null {
  if (instance.account !== rule.account)
    return `its account is ${instance.account}, and the rule asks for ${rule.account}`;
  if (!rule.regions.includes(instance.region))
    return `it is in ${instance.region}, and the rule asks for ${rule.regions.join(' or ')}`;
  if (!rule.roles.includes(instance.role))
    return `its role is ${instance.role}, and the rule asks for ${rule.roles.join(' or ')}`;
  if (rule.images.length > 0 && !rule.images.includes(instance.image))
    return `its image is ${instance.image}, and the rule asks for ${rule.images.join(' or ')}`;
  if (instance.startedAt > at && clockFault(instance.startedAt, at) !== null)
    return `its document says that it starts ${spanOf(instance.startedAt - at)} from now; is the coordinator's clock right`;
  if (rule.maxAgeMs !== null && at - instance.startedAt > rule.maxAgeMs)
    return `it was started ${spanOf(at - instance.startedAt)} ago, and the rule takes instances up to ${spanOf(rule.maxAgeMs)} after their start`;
  return null;
}

/** Why its tags do not fit; null when they do. */
export function tagFault(rule: AwsRule, tags: Readonly<Record<string, string>>): string | null {
  for (const [name, wanted] of Object.entries(rule.tags)) {
    const found = tags[name];
    if (found !== wanted)
      return `its tag ${name} is ${found === undefined ? 'not there' : `"${found}"`}, and the rule asks for "${wanted}"`;
  }
  return null;
}
