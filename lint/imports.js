import { posix } from 'node:path';
import { placeOf } from './table.js';

/** Calls `visit(node, specifier)` for every static or dynamic import and re-export. */
export function importVisitor(visit) {
  const fromSource = (node) => {
    if (typeof node.source?.value === 'string') visit(node, node.source.value);
  };
  return {
    ImportDeclaration: fromSource,
    ExportNamedDeclaration: fromSource,
    ExportAllDeclaration: fromSource,
    ImportExpression: fromSource,
  };
}

/** The place that a specifier names inside this repository; undefined for packages of npm and Node. */
export function targetOf(filename, specifier) {
  if (specifier.startsWith('.')) return placeOf(posix.join(posix.dirname(filename), specifier));
  const own = specifier.match(/^@berth\/([^/]+)(?:\/(.+))?$/);
  return own ? `${own[1]}/${own[2] ? `${own[2]}.ts` : 'index.ts'}` : undefined;
}
