import type { Findings, Spot } from './findings.ts';
import type { Lookup, Part } from './interpolate.ts';
import { evaluate, MAX_VALUE, parseInterpolation } from './interpolate.ts';
import type { SecretRef } from '../domain/secret.ts';
import type { Tree } from './positions.ts';

/** A variable that the template uses. */
export interface Variable {
  name: string;
  /** The template says so itself, with `${NAME:?…}` or `${NAME?…}`. A bare `$NAME` is empty text when unset. */
  required: boolean;
  default?: string;
  /** The services that use it; empty when only the top level does. */
  services: string[];
}

/** Set by the coordinator for every tenant; a template may use them, and nobody has to give them. */
const BUILT_IN = /^BERTH_(TENANT|DOMAIN|APP|RELEASE)$/;

/** All filled-in texts together, in characters: env files can name values that double from line to line. */
const MAX_FILLED = 1024 * 1024;

/** How a template is read: to check it (values not known yet) or to render it. */
export interface Filling {
  mode: 'check' | 'render';
  lookup: Lookup;
  /** The tenant's secret of a name, when rendering. */
  secrets?: (name: string) => SecretRef | undefined;
  findings: Findings;
  variables: Variables;
}

interface Use {
  required: boolean;
  default?: string;
  services: Set<string>;
}

/** Notes every variable that is met, and warns about each unset one only once. */
export class Variables {
  readonly #met = new Map<string, Use>();
  readonly #warned = new Set<string>();
  #filled = 0;

  get roomLeft(): boolean {
    return this.#filled <= MAX_FILLED;
  }

  /** Counts filled-in text; false once there is too much of it. */
  grow(length: number): boolean {
    this.#filled += length;
    return this.roomLeft;
  }

  note(parts: readonly Part[], service: string | undefined, conditional = false): void {
    for (const part of parts) {
      if (part.kind === 'text') continue;
      const use = this.#use(part.name, service);
      if (part.operator === 'required' && !conditional && !BUILT_IN.test(part.name)) use.required = true;
      if (part.operator === 'default') use.default ??= literal(part.rest) ?? part.restSource;
      this.note(part.rest, service, true);
    }
  }

  /** A name without a value in `environment` or an env file. */
  noteName(name: string, service: string | undefined): void {
    this.#use(name, service);
  }

  warnUnset(findings: Findings, where: Spot, name: string): void {
    if (this.#warned.has(name)) return;
    this.#warned.add(name);
    findings.warn(where, `the variable \`${name}\` is not set and has no default, so it is empty`);
  }

  has(name: string): boolean {
    return this.#met.has(name);
  }

  list(): Variable[] {
    return [...this.#met]
      .map(([name, use]) => ({
        name,
        required: use.required,
        ...(use.default === undefined ? {} : { default: use.default }),
        services: [...use.services].toSorted(),
      }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  #use(name: string, service: string | undefined): Use {
    const use: Use = this.#met.get(name) ?? { required: false, services: new Set() };
    if (service !== undefined) use.services.add(service);
    this.#met.set(name, use);
    return use;
  }
}

function literal(parts: readonly Part[]): string | undefined {
  let text = '';
  for (const part of parts) {
    if (part.kind !== 'text') return undefined;
    text += part.text;
  }
  return text;
}

/** The tree with the variables of all its texts filled in. While checking, what cannot be known is marked deferred. */
export function substitute(tree: Tree, filling: Filling, service: string | undefined): Tree {
  switch (tree.kind) {
    case 'map':
      return {
        ...tree,
        entries: tree.entries.map((entry) => ({
          ...entry,
          value: substitute(entry.value, filling, service),
        })),
      };
    case 'list':
      return { ...tree, items: tree.items.map((item) => substitute(item, filling, service)) };
    case 'scalar': {
      if (typeof tree.value !== 'string' || !tree.value.includes('$')) return tree;
      const filled = fill(tree.value, tree, filling, service);
      if (filled === undefined) return { ...tree, deferred: true };
      return {
        ...tree,
        value: filled.text,
        text: filled.text,
        filled: filled.filled,
        deferred: filled.deferred,
      };
    }
  }
}

/** Fills in one text; undefined after an error, which is in the findings. `note` begins the message's sentence. */
export function fill(
  text: string,
  where: Spot,
  filling: Filling,
  service: string | undefined,
  note = '',
  above?: ReadonlyMap<string, string>,
): { text: string; filled: boolean; deferred: boolean } | undefined {
  const { findings, variables, mode } = filling;
  const parsed = parseInterpolation(text);
  if (!parsed.ok) {
    findings.error(where, `${note}${parsed.message}`);
    return undefined;
  }
  variables.note(parsed.parts, service);
  if (!variables.roomLeft) return undefined;
  const done = evaluate(parsed.parts, (name) => filling.lookup(name) ?? above?.get(name));
  if (done.tooLong) {
    findings.error(where, `${note}is longer than ${MAX_VALUE / 1024} KB once its variables are filled in`);
    return undefined;
  }
  if (!variables.grow(done.text.length)) {
    findings.error(
      where,
      `${note}the file is larger than ${MAX_FILLED / 1024} KB once its variables are filled in`,
    );
    return undefined;
  }
  if (mode === 'check') return { text: done.text, filled: done.filled, deferred: done.open };
  for (const { name, message } of done.missing) {
    findings.error(
      where,
      `${note}the variable \`${name}\` must be set${message === '' ? '' : `: ${message.slice(0, 200)}`}`,
    );
  }
  for (const name of done.unset) variables.warnUnset(findings, where, name);
  return { text: done.text, filled: done.filled, deferred: done.missing.length > 0 };
}
