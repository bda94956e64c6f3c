import fc from 'fast-check';
import { z } from 'zod';
import { hostId } from './samples.ts';

/** Names that fields of requests take, by the field's name. */
export type Names = Readonly<Record<string, string>>;

const Schema = z.looseObject({
  type: z.string().optional(),
  const: z.unknown().optional(),
  enum: z.array(z.unknown()).optional(),
  anyOf: z.array(z.unknown()).optional(),
  oneOf: z.array(z.unknown()).optional(),
  allOf: z.array(z.unknown()).optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  required: z.array(z.string()).optional(),
  items: z.unknown().optional(),
  minItems: z.number().optional(),
  minimum: z.number().optional(),
  minLength: z.number().optional(),
  pattern: z.string().optional(),
  default: z.unknown().optional(),
  $ref: z.string().optional(),
});

/** Texts that a person would write; the first that fits a pattern is taken, else one is made up. */
const TEXTS = ['x', 'shop', '1', 'a.example.com', 'refs/heads/main', 'https://issuer.example.com', hostId(1)];

/**
 * A value that a schema takes, with all that it needs and nothing else: fields of a known name get that name.
 */
export function fitting(schema: z.ZodType, names: Names): unknown {
  return valueOf(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }), names, '');
}

function valueOf(given: unknown, names: Names, field: string): unknown {
  const schema = Schema.parse(given);
  const known = names[field];
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  const shapes = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (shapes !== undefined) return valueOf(shapes[0], names, field);
  switch (schema.type) {
    case 'string':
      if (known !== undefined) return known;
      return textFor(schema.pattern, schema.minLength ?? 0);
    case 'integer':
    case 'number':
      return known === undefined ? Math.max(1, schema.minimum ?? 1) : Number(known);
    case 'boolean':
      return true;
    case 'null':
      return null;
    case 'array':
      return Array.from({ length: schema.minItems ?? 0 }, () => valueOf(schema.items, names, field));
    case 'object': {
      const fields: Record<string, unknown> = {};
      for (const [name, inner] of Object.entries(schema.properties ?? {}))
        if (schema.required?.includes(name) === true || names[name] !== undefined)
          fields[name] = valueOf(inner, names, name);
      return fields;
    }
    default:
      return known ?? 'x';
  }
}

function textFor(pattern: string | undefined, least: number): string {
  const fits = TEXTS.find(
    (text) => text.length >= least && (pattern === undefined || new RegExp(pattern, 'u').test(text)),
  );
  if (fits !== undefined) return fits;
  if (pattern === undefined) return 'x'.repeat(least);
  const [made] = fc.sample(fc.stringMatching(new RegExp(pattern, 'u')), { seed: 1, numRuns: 1 });
  return made ?? 'x';
}
