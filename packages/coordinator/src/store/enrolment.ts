import type { Kysely } from 'kysely';
import { AwsRule } from '@berth/shared/api/enrolment';
import { BerthError } from '@berth/shared/domain/errors';
import type { EnrolmentKeys, EnrolReads, EnrolWrites, InstanceRecord } from '../services/enrol-store.ts';
import type { Dialect } from './dialect.ts';
import type { InstanceTable, Tables } from './tables.ts';

type Db = Kysely<Tables>;

const instanceOf = (row: InstanceTable): InstanceRecord => ({
  instance: row.instance,
  host: row.host,
  account: row.account,
  region: row.region,
  role: row.role,
  image: row.image,
  enrolledAt: row.enrolled_at,
  reenrolUntil: row.reenrol_until,
});

export function enrolReads(db: Db, dialect: Dialect): EnrolReads {
  return {
    async joinRule(pool) {
      const row = await db.selectFrom('join_rules').select('aws').where('pool', '=', pool).executeTakeFirst();
      return row === undefined ? null : AwsRule.parse(JSON.parse(row.aws));
    },
    async instance(instance) {
      const row = await db
        .selectFrom('instances')
        .selectAll()
        .where('instance', '=', instance)
        .$if(db.isTransaction, (query) => query.modifyEnd(dialect.forUpdate))
        .executeTakeFirst();
      return row === undefined ? null : instanceOf(row);
    },
    async instanceOf(host) {
      const row = await db.selectFrom('instances').selectAll().where('host', '=', host).executeTakeFirst();
      return row === undefined ? null : instanceOf(row);
    },
  };
}

export function enrolWrites(db: Db): EnrolWrites {
  return {
    async setJoinRule(pool, rule, at) {
      await db.deleteFrom('join_rules').where('pool', '=', pool).execute();
      if (rule === null) return;
      await db
        .insertInto('join_rules')
        .values({ pool, aws: JSON.stringify(rule), updated_at: at })
        .execute();
    },
    async bindInstance(record) {
      const rows = await db
        .insertInto('instances')
        .values({
          instance: record.instance,
          host: record.host,
          account: record.account,
          region: record.region,
          role: record.role,
          image: record.image,
          enrolled_at: record.enrolledAt,
          reenrol_until: record.reenrolUntil,
        })
        .onConflict((conflict) => conflict.doNothing())
        .returning('instance')
        .execute();
      return rows.length === 1;
    },
    async setReenrolment(instance, until) {
      await db
        .updateTable('instances')
        .set({ reenrol_until: until })
        .where('instance', '=', instance)
        .execute();
    },
    async setHostKey(host, publicKey) {
      await db.updateTable('hosts').set({ public_key: publicKey }).where('host', '=', host).execute();
    },
    async spendChallenge(hash, expiresAt, at) {
      await db.deleteFrom('spent_challenges').where('expires_at', '<', at).execute();
      const rows = await db
        .insertInto('spent_challenges')
        .values({ hash, expires_at: expiresAt })
        .onConflict((conflict) => conflict.doNothing())
        .returning('hash')
        .execute();
      return rows.length === 1;
    },
  };
}

export function enrolmentKeys(db: Db): EnrolmentKeys {
  return {
    async enrolmentKey(fresh) {
      await db
        .insertInto('enrolment_key')
        .values({ id: 1, key: fresh })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      const row = await db.selectFrom('enrolment_key').select('key').executeTakeFirst();
      if (row === undefined) throw new BerthError('internal', 'The key of enrolment could not be kept.');
      return row.key;
    },
  };
}
