import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clientEnvironment, connectionOf, databaseArgument, placeOf } from '../../src/backup/connection.ts';

const text = fc.string({ minLength: 1, unit: 'grapheme' }).filter((each) => !each.includes('\0'));

describe('the address of a database', () => {
  test('gives back every user, password and name that was written into it', () => {
    fc.assert(
      fc.property(text, text, text, (user, password, database) => {
        const [u = '', p = '', d = ''] = [user, password, database].map((each) =>
          encodeURIComponent(each.toWellFormed()),
        );
        const read = connectionOf(`postgres://${u}:${p}@db.internal:6543/${d}?sslmode=require`);
        expect(read).toMatchObject({
          user: user.toWellFormed(),
          password: password.toWellFormed(),
          database: database.toWellFormed(),
          host: 'db.internal',
          port: 6543,
          sslMode: 'require',
        });
      }),
    );
  });

  test.each([
    ['mysql://u:hunter22@h/d', /begins with postgres/],
    ['not a url with hunter22', /is no URL/],
    ['postgres://u:hunter22%zz@h/d', /"%" that begins no escape/],
    ['postgres://u:hunter22@h/d?sslmode=maybe', /sslmode is one of/],
    ['postgres://u:hunter22@h/d?options=-c', /"options" is not supported/],
    ['postgres://h/d', /names no user/],
  ])('that is wrong is refused without being repeated: %s', (address, words) => {
    expect(() => connectionOf(address)).toThrow(words);
    expect(() => connectionOf(address)).not.toThrow(/hunter22/);
  });

  test('reaches the programs by their environment, and the password is in no sentence and no argument', () => {
    const read = connectionOf('postgres://u:hunter22@[::1]/my%20db?host=/run/pg');
    expect(clientEnvironment(read)).toMatchObject({ PGHOST: '/run/pg', PGPASSWORD: 'hunter22', PGUSER: 'u' });
    expect(`${placeOf(read)} ${databaseArgument(read.database)}`).toBe(
      `database "my db" at /run/pg --dbname=dbname='my db'`,
    );
  });

  test('keeps a name that looks like a connection string one name', () => {
    expect(databaseArgument(`host=evil 'x' \\`)).toBe(`--dbname=dbname='host=evil \\'x\\' \\\\'`);
  });
});
