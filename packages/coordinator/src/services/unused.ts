import type { Finding } from '@berth/shared/compose/findings';
import { nearest } from '@berth/shared/compose/suggest';

/** Setting what no service reads is allowed, and most often a typing error. */
export function unusedWarnings(names: readonly string[], used: readonly { name: string }[]): Finding[] {
  const known = new Set(used.map((variable) => variable.name));
  return names.flatMap((name) =>
    known.has(name) ? [] : [{ line: 0, column: 0, path: `variables.${name}`, message: notUsed(name, known) }],
  );
}

function notUsed(name: string, used: ReadonlySet<string>): string {
  const others = [...used].filter((each) => !each.startsWith('BERTH_'));
  const near = nearest(
    name.toLowerCase(),
    others.map((each) => each.toLowerCase()),
  );
  const meant = others.find((each) => each.toLowerCase() === near);
  return `the template does not use this variable${meant === undefined ? '' : `; did you mean ${meant}?`}`;
}
