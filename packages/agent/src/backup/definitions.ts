import { createHash } from 'node:crypto';
import type { Session } from './session.ts';

/** What of a database's definitions is looked at together. */
interface Part {
  name: string;
  /** One line for each definition, in an order that depends on names alone. */
  sql: string;
  /** The lines hold expressions, which a restore may write with other casts and parentheses. */
  expressions?: true;
}

export interface Definitions {
  /** Over all parts. */
  sha256: string;
  /** SHA-256 by part. */
  parts: Record<string, string>;
}

const PAGE = 2_000;

/**
 * Hash of everything that is defined in the database, or in one schema of it: what depends on names, and not on object
 * ids, owners, privileges or the name of the database, so that a restored copy has the same. Extensions count by their
 * name, what they brought does not. Must run inside a transaction.
 */
export async function readDefinitions(session: Session, schema: string | null): Promise<Definitions> {
  const parts: Record<string, string> = {};
  const all = createHash('sha256');
  for (const part of partsOf(schema)) {
    const hash = createHash('sha256');
    await session.texts(`declare berth_definitions no scroll cursor for
      with ${common(schema)} select line from (${part.sql}) lines (line) order by line collate "C"`);
    for (;;) {
      const page = await session.texts(`fetch ${PAGE} from berth_definitions`);
      for (const line of page) hash.update(part.expressions ? plain(line) : line).update('\n');
      if (page.length < PAGE) break;
    }
    await session.texts('close berth_definitions');
    const digest = hash.digest('hex');
    parts[part.name] = digest;
    all.update(`${part.name} ${digest}\n`);
  }
  return { sha256: all.digest('hex'), parts };
}

/**
 * An expression without what PostgreSQL itself writes in two ways: `x in ('a', 'b')` of a varchar column comes back from
 * a dump with its casts and parentheses elsewhere.
 */
export function plain(line: string): string {
  return line
    .replace(/::(?:character varying|character|text|bpchar)(?:\(\d+\))?(?:\[\])?/g, '')
    .replace(/[()\s]/g, '');
}

/** A literal that stands for itself in standard SQL. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** The schemas and relations that belong to the tenant: not PostgreSQL's own, and not an extension's. */
export function common(schema: string | null): string {
  const own = (catalogue: string, id: string): string => `not exists (select from pg_depend d
    where d.classid = '${catalogue}'::regclass and d.objid = ${id} and d.deptype = 'e')`;
  return `ns as (select n.oid, n.nspname from pg_namespace n
      where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      ${schema === null ? '' : `and n.nspname = ${literal(schema)}`}),
    rel as (select c.*, quote_ident(ns.nspname) || '.' || quote_ident(c.relname) as name
      from pg_class c join ns on ns.oid = c.relnamespace where ${own('pg_class', 'c.oid')}),
    typ as (select t.*, quote_ident(ns.nspname) || '.' || quote_ident(t.typname) as name
      from pg_type t join ns on ns.oid = t.typnamespace where ${own('pg_type', 't.oid')}),
    fun as (select p.*, ns.nspname from pg_proc p join ns on ns.oid = p.pronamespace where ${own('pg_proc', 'p.oid')})`;
}

function partsOf(schema: string | null): Part[] {
  const whole: Part[] = [
    // `public` is there in every database, or was dropped on purpose.
    {
      name: 'schemas',
      sql: `select nspname from ns where not exists (select from pg_depend d
        where d.classid = 'pg_namespace'::regclass and d.objid = ns.oid and d.deptype = 'e')`,
    },
    { name: 'extensions', sql: `select extname from pg_extension where extname <> 'plpgsql'` },
  ];
  return [
    ...(schema === null ? whole : []),
    {
      name: 'tables',
      expressions: true,
      sql: `select json_build_array(name, relkind, relpersistence, relrowsecurity, relforcerowsecurity,
          array(select unnest(reloptions) order by 1), pg_get_partkeydef(oid), pg_get_expr(relpartbound, oid),
          array(select quote_ident(pn.nspname) || '.' || quote_ident(p.relname) from pg_inherits i
            join pg_class p on p.oid = i.inhparent join pg_namespace pn on pn.oid = p.relnamespace
            where i.inhrelid = rel.oid order by i.inhseqno))::text
        from rel where relkind in ('r', 'p', 'f', 'm', 'v')`,
    },
    {
      name: 'columns',
      expressions: true,
      sql: `select json_build_array(rel.name, lpad(row_number() over (partition by rel.oid order by a.attnum)::text, 5),
          a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
          case when a.attcollation <> t.typcollation then a.attcollation::regcollation::text end,
          pg_get_expr(d.adbin, d.adrelid))::text
        from rel join pg_attribute a on a.attrelid = rel.oid and a.attnum > 0 and not a.attisdropped
        join pg_type t on t.oid = a.atttypid
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where rel.relkind in ('r', 'p', 'f', 'm', 'v', 'c')`,
    },
    {
      name: 'types',
      expressions: true,
      sql: `select json_build_array(name, typtype, typnotnull, typdefault,
          case when typtype = 'd' then format_type(typbasetype, typtypmod) end,
          array(select enumlabel from pg_enum e where e.enumtypid = typ.oid order by enumsortorder),
          (select format_type(rngsubtype, null) from pg_range r where r.rngtypid = typ.oid),
          array(select pg_get_constraintdef(c.oid) from pg_constraint c where c.contypid = typ.oid and c.contype = 'c'
            order by 1))::text
        from typ where typtype in ('d', 'e', 'r')`,
    },
    {
      name: 'indexes',
      expressions: true,
      sql: `select json_build_array(pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered, i.indisreplident)::text
        from pg_index i join rel on rel.oid = i.indexrelid`,
    },
    {
      name: 'constraints',
      expressions: true,
      // "Not null" stands with the columns: since 18 it has a constraint and a name too.
      sql: `select json_build_array(rel.name, conname, pg_get_constraintdef(c.oid), convalidated)::text
        from pg_constraint c join rel on rel.oid = c.conrelid where contype <> 'n'`,
    },
    {
      name: 'sequences',
      sql: `select json_build_array(rel.name, format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin,
          s.seqmax, s.seqcycle, s.seqcache)::text
        from pg_sequence s join rel on rel.oid = s.seqrelid`,
    },
    {
      name: 'views',
      expressions: true,
      sql: `select json_build_array(name, pg_get_viewdef(oid), relispopulated)::text from rel where relkind in ('v', 'm')`,
    },
    {
      name: 'rules',
      expressions: true,
      sql: `select json_build_array(rel.name, pg_get_ruledef(r.oid), r.ev_enabled)::text
        from pg_rewrite r join rel on rel.oid = r.ev_class where r.rulename <> '_RETURN'`,
    },
    {
      name: 'functions',
      sql: `select json_build_array(nspname, proname, prokind, pg_get_function_identity_arguments(oid),
          case when prokind <> 'a' then pg_get_functiondef(oid)
            else (select json_build_array(aggtransfn::regprocedure, aggfinalfn, aggtranstype::regtype,
              agginitval)::text from pg_aggregate where aggfnoid = fun.oid) end)::text from fun`,
    },
    {
      name: 'triggers',
      expressions: true,
      sql: `select json_build_array(pg_get_triggerdef(t.oid), t.tgenabled)::text
        from pg_trigger t join rel on rel.oid = t.tgrelid where not t.tgisinternal`,
    },
    {
      name: 'policies',
      expressions: true,
      sql: `select json_build_array(rel.name, polname, polcmd, polpermissive, pg_get_expr(polqual, polrelid),
          pg_get_expr(polwithcheck, polrelid))::text
        from pg_policy join rel on rel.oid = polrelid`,
    },
  ];
}
