const MODULE = /^(node:)?child_process$/;
const SHELLS = /(^|\/)(sh|bash|dash|zsh|ash)$/;

/** Programs are started with argument arrays. A string that a shell takes apart is where injections begin. */
export const noShellRule = {
  meta: { type: 'problem', docs: { description: 'No shell: no exec, no shell option, no sh -c.' } },
  create(context) {
    const namespaces = new Set();
    const refuse = (node, what) =>
      context.report({ node, message: `no shell: ${what}; pass an argument array to execFile or spawn` });
    return {
      ImportDeclaration(node) {
        if (!MODULE.test(node.source.value)) return;
        for (const specifier of node.specifiers) {
          if (specifier.type !== 'ImportSpecifier') namespaces.add(specifier.local.name);
          else if (['exec', 'execSync'].includes(specifier.imported.name))
            refuse(specifier, `${specifier.imported.name} runs one`);
        }
      },
      MemberExpression(node) {
        const name = node.computed ? node.property.value : node.property.name;
        if (
          node.object.type === 'Identifier' &&
          namespaces.has(node.object.name) &&
          ['exec', 'execSync'].includes(name)
        ) {
          refuse(node, `${name} runs one`);
        }
      },
      Property(node) {
        const name = node.key.name ?? node.key.value;
        if (name === 'shell' && node.value.type === 'Literal' && node.value.value !== false)
          refuse(node, 'the shell option runs one');
      },
      CallExpression(node) {
        const callee = node.callee.property?.name ?? node.callee.name;
        if (!/^(spawn|execFile)(Sync)?$/.test(callee ?? '')) return;
        const [file, args] = node.arguments;
        const flags = args?.type === 'ArrayExpression' ? args.elements.map((item) => item?.value) : [];
        if (typeof file?.value === 'string' && SHELLS.test(file.value) && flags.includes('-c'))
          refuse(node, `${file.value} -c is one`);
      },
    };
  },
};
