import { importVisitor, targetOf } from './imports.js';
import { placeOf, roomOf, rooms } from './table.js';

const FORBIDDEN = new Map([
  ['Date', 'the clock'],
  ['performance', 'the clock'],
  ['crypto', 'randomness'],
  ['process', 'the process'],
  ['globalThis', 'globals'],
  ['global', 'globals'],
  ['fetch', 'the network'],
  ['console', 'output'],
  ['Promise', 'something asynchronous'],
  ['require', 'modules'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'].map((name) => [name, 'a timer']),
]);

/** Time, ids and randomness are arguments of a pure room, and it answers at once. */
export const pureRoomsRule = {
  meta: {
    type: 'problem',
    docs: { description: 'A pure room has no clock, randomness, Node, packages or await.' },
  },
  create(context) {
    const place = placeOf(context.filename);
    const room = place && roomOf(place);
    if (!room || !rooms[room].pure) return {};
    const report = (node, what) => context.report({ node, message: `${room} is a pure room: ${what}` });
    const asynchronous = (node) => {
      if (node.async) report(node, 'no async function; it answers at once');
    };
    return {
      ...importVisitor((node, specifier) => {
        if (node.type === 'ImportExpression') report(node, 'no import(); it answers at once');
        else if (targetOf(context.filename, specifier) === undefined)
          report(node, `it may not import ${specifier}`);
      }),
      AwaitExpression: (node) => report(node, 'no await; it answers at once'),
      ForOfStatement: (node) => node.await && report(node, 'no for await; it answers at once'),
      FunctionDeclaration: asynchronous,
      FunctionExpression: asynchronous,
      ArrowFunctionExpression: asynchronous,
      MemberExpression(node) {
        if (node.object.type !== 'Identifier' || node.object.name !== 'Math') return;
        const name = node.computed ? node.property.value : node.property.name;
        if (name === 'random') report(node, 'no Math.random; randomness is an argument');
      },
      'Program:exit'(program) {
        for (const { identifier, resolved } of context.sourceCode
          .getScope(program)
          .through.concat(globals(context, program))) {
          const what = FORBIDDEN.get(identifier.name);
          if (what && !resolved?.defs.length)
            report(identifier, `no ${identifier.name}; ${what} is an argument`);
        }
      },
    };
  },
};

/** References that resolve to a known global are not in `through`. */
function globals(context, program) {
  const scope = context.sourceCode.getScope(program);
  return [...scope.set.values()]
    .filter((variable) => variable.defs.length === 0)
    .flatMap((variable) => variable.references);
}
