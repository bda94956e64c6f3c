import { Findings } from './findings.ts';
import { readTree, type Tree } from './positions.ts';
import type { Template } from './template.ts';

/** The file's content as plain values, with its variables as they are written. Never throws. */
export function writtenIn(template: Template): unknown {
  const tree = readTree(template.text, new Findings());
  return tree === undefined ? null : plain(tree);
}

function plain(tree: Tree): unknown {
  switch (tree.kind) {
    case 'scalar':
      return tree.value;
    case 'list':
      return tree.items.map(plain);
    case 'map':
      return Object.fromEntries(tree.entries.map(({ key, value }) => [key, plain(value)]));
  }
}
