import { Egress, EgressRange } from '../domain/egress.ts';
import type { Findings } from './findings.ts';
import type { Tree } from './positions.ts';
import { choice, isDeferred, items, scalar, show } from './values.ts';

/** `x-berth.egress`: a word, or a list of IPv4 ranges. Undefined when it is wrong, not known yet, or the default. */
export function readEgress(f: Findings, node: Tree): Egress | undefined {
  if (node.kind !== 'list') {
    const word = choice(f, node, ['internet', 'public', 'none']);
    return word === 'internet' ? undefined : word;
  }
  const ranges = items(f, node).flatMap((item): string[] => {
    const found = scalar(f, item, 'an IPv4 range such as 10.20.0.0/16');
    if (found === undefined || isDeferred(item)) return [];
    const range = found.text.includes('/') ? found.text : `${found.text}/32`;
    if (found.text.includes(':'))
      f.error(item, `tenants have no IPv6, so ${show(item)} opens nothing; give IPv4 ranges`);
    else if (!EgressRange.safeParse(range).success)
      f.error(
        item,
        `must be an IPv4 range such as 10.20.0.0/16, with no bits set behind the prefix, not ${show(item)}`,
      );
    else if (/^(127\.|169\.254\.)/.test(range))
      f.error(item, `${show(item)} is never open to tenants: it is the host's own or link-local`);
    else return [range];
    return [];
  });
  if (node.items.length === 0)
    f.error(node, 'is an empty list; to let a tenant connect to nothing, write none');
  if (node.items.length > 64) f.error(node, 'holds more than 64 ranges; join some of them');
  const egress = Egress.safeParse(ranges);
  return egress.success ? egress.data : undefined;
}
