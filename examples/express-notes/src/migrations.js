import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';

const FOLDER = new URL('../migrations/', import.meta.url);

/** The migrations of this code, oldest first: name, both directions, and a digest of the upward one. */
export async function readMigrations() {
  const names = (await readdir(FOLDER)).filter((file) => file.endsWith('.up.sql')).map((file) => file.slice(0, -7)).sort();
  return Promise.all(
    names.map(async (name) => {
      const up = await readFile(new URL(`${name}.up.sql`, FOLDER), 'utf8');
      const down = await readFile(new URL(`${name}.down.sql`, FOLDER), 'utf8');
      return { name, up, down, digest: createHash('sha256').update(up).digest('hex') };
    }),
  );
}
