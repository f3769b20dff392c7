'use strict';
/*
 * Redirects and guards the connections of an unmodified Node app. Loaded by NODE_OPTIONS=--require, in the app's process
 * and in every worker thread and child that inherits the environment. Node 18 and later, no dependencies.
 *
 * The same rules as python/sitecustomize.py: a host of HOLDTRUE_STAGE_ROUTES is answered by its double on loopback,
 * loopback passes, every other connection, look-up and datagram is refused and recorded in HOLDTRUE_STAGE_EGRESS.
 * net.Socket.prototype.connect is where http, https, tls, http2, WebSocket and the built-in fetch (undici) all end.
 * The stage's CA arrives by NODE_EXTRA_CA_CERTS; here it is added where an app brings a `ca` list of its own.
 *
 * Out of reach: native add-ons that open sockets themselves (grpc, librdkafka, Prisma's engines), and a child started
 * without the environment.
 */

const dgram = require('node:dgram');
const dns = require('node:dns');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const tls = require('node:tls');
const { syncBuiltinESMExports } = require('node:module');

const routes = JSON.parse(process.env.HOLDTRUE_STAGE_ROUTES || '{}');
const egress = process.env.HOLDTRUE_STAGE_EGRESS;
const root = (process.env.HOLDTRUE_STAGE_ROOT || process.cwd()) + path.sep;
const ca = process.env.HOLDTRUE_STAGE_CA ? fs.readFileSync(process.env.HOLDTRUE_STAGE_CA, 'utf8') : null;
const routedHosts = new Set(Object.keys(routes).map((key) => key.slice(0, key.lastIndexOf(':'))));
const ownNames = new Set(['localhost', 'localhost.localdomain', 'ip6-localhost', os.hostname().toLowerCase()]);
const aliases = new Map(); // loopback address -> the name it stands for until a port is known

// -- records ---------------------------------------------------------------------------------------------------------

function record(fields) {
  if (!egress) return;
  const script = process.argv[1] ? path.basename(process.argv[1]) : 'node';
  fs.appendFileSync(egress, JSON.stringify({ ...fields, pid: process.pid, process: script }) + '\n', { mode: 0o600 });
}

/** The innermost frame that is the app's own code, as file:line below its directory. */
function where() {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 60;
  const lines = new Error().stack.split('\n');
  Error.stackTraceLimit = limit;
  for (const line of lines) {
    const found = /(?:\(|at |file:\/\/)(\/[^()]*?):(\d+):\d+\)?$/.exec(line);
    if (found && found[1].startsWith(root) && !found[1].includes('node_modules')) {
      return `${found[1].slice(root.length)}:${found[2]}`;
    }
  }
  return null;
}

function refusal(kind, host, port, code) {
  record({ event: 'refused', kind, host, port: port || null, where: where() });
  const target = port ? `${host}:${port}` : host;
  const error = new Error(`holdtrue refused the ${kind} to ${target}: a rehearsal reaches nothing outside the stage`);
  return Object.assign(error, { code, errno: code, syscall: kind, hostname: host, address: host, port });
}

// -- decisions -------------------------------------------------------------------------------------------------------

const nameOf = (host) => String(host || 'localhost').replace(/\.$/, '').toLowerCase();
const isOwn = (name) => ownNames.has(name) || name.endsWith('.localhost');

function isLoopback(name) {
  const bare = name.replace(/^::ffff:/, '');
  return bare === '::1' || bare === '::' || bare === '0.0.0.0' || (net.isIPv4(bare) && bare.startsWith('127.'));
}

function parentsOf(name) {
  return name.split('.').map((_, index, labels) => `*.${labels.slice(index + 1).join('.')}`);
}

function routeOf(name, port) {
  for (const host of [name, ...parentsOf(name)]) {
    const target = routes[`${host}:${port}`];
    if (target) {
      const colon = target.lastIndexOf(':');
      return { host: target.slice(0, colon), port: Number(target.slice(colon + 1)) };
    }
  }
  return null;
}

function aliasOf(name) {
  for (const [address, known] of aliases) if (known === name) return address;
  const number = aliases.size + 1;
  const address = `127.83.${number >> 8}.${number & 255}`;
  aliases.set(address, name);
  return address;
}

/** The address to answer a look-up with, null when the system may answer, or an Error. */
function settle(host, kind) {
  const name = nameOf(host);
  if (net.isIP(name) || isOwn(name)) return null;
  if ([name, ...parentsOf(name)].some((known) => routedHosts.has(known))) return aliasOf(name);
  return refusal(kind, name, null, 'ENOTFOUND');
}

// -- connections -----------------------------------------------------------------------------------------------------

const realConnect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function connect(...args) {
  // net.connect() itself hands over one array [options, callback]; everybody else (options|port|path, …, callback).
  const plain = Array.isArray(args[0]) ? args[0] : args;
  const callback = plain.findLast((arg) => typeof arg === 'function');
  let options = plain[0];
  if (typeof options !== 'object' || options === null) {
    if (typeof options === 'string' && Number.isNaN(Number(options))) return realConnect.apply(this, args); // a path
    options = { port: plain[0], host: typeof plain[1] === 'string' ? plain[1] : undefined };
  }
  if (options.path) return realConnect.apply(this, args);
  const asked = nameOf(options.host);
  const name = aliases.get(asked) || asked;
  const port = Number(options.port);
  const target = routeOf(name, port);
  if (target) {
    const { lookup, family, hints, localAddress, ...rest } = options;
    const settled = { ...rest, ...target };
    return callback ? realConnect.call(this, settled, callback) : realConnect.call(this, settled);
  }
  if (isLoopback(name) || isOwn(name)) return realConnect.apply(this, args);
  const error = refusal('connection', name, port, 'ECONNREFUSED');
  this.connecting = true;
  process.nextTick(() => this.destroy(error));
  return this;
};

if (ca) {
  const realTlsConnect = tls.connect;
  tls.connect = function connect(...args) {
    return realTlsConnect.apply(this, args.map((arg) => {
      const own = arg && typeof arg === 'object' && arg.ca;
      return own ? { ...arg, ca: [].concat(own, ca) } : arg;
    }));
  };
}

// -- names -----------------------------------------------------------------------------------------------------------

function answerLookup(address, options) {
  return options && options.all ? [[{ address, family: 4 }]] : [address, 4];
}

const realLookup = dns.lookup;
dns.lookup = function lookup(host, options, callback) {
  const done = typeof options === 'function' ? options : callback;
  const settled = host ? settle(host, 'lookup') : null;
  if (settled === null) return realLookup.apply(this, arguments);
  const answer = settled instanceof Error ? [settled] : [null, ...answerLookup(settled, options)];
  process.nextTick(done, ...answer);
  return {};
};

const realPromiseLookup = dns.promises.lookup;
dns.promises.lookup = async function lookup(host, options) {
  const settled = host ? settle(host, 'lookup') : null;
  if (settled === null) return realPromiseLookup.apply(this, arguments);
  if (settled instanceof Error) throw settled;
  return options && options.all ? [{ address: settled, family: 4 }] : { address: settled, family: 4 };
};

const queries = Object.keys(dns).filter((key) => /^(resolve|reverse$)/.test(key));
for (const holder of [dns, dns.Resolver.prototype]) {
  for (const query of queries) {
    if (typeof holder[query] !== 'function') continue;
    holder[query] = function resolve(host, ...rest) {
      const settled = query === 'reverse' ? refusal('lookup', host, null, 'ENOTFOUND') : settle(host, 'lookup');
      const answer = typeof settled === 'string' && /^resolve4?$/.test(query) ? [null, [settled]] : [settled];
      if (settled === null || (typeof settled === 'string' && answer[0] !== null)) {
        answer[0] = Object.assign(new Error(`query${query} ENODATA ${host}`), { code: 'ENODATA', hostname: host });
      }
      process.nextTick(rest.findLast((arg) => typeof arg === 'function'), ...answer);
      return {};
    };
  }
}
for (const holder of [dns.promises, dns.promises.Resolver.prototype]) {
  for (const query of queries) {
    if (typeof holder[query] !== 'function') continue;
    holder[query] = (host, ...rest) => new Promise((resolve, reject) => {
      dns[query](host, ...rest.filter((arg) => typeof arg !== 'function'), (error, answer) => {
        if (error) reject(error); else resolve(answer);
      });
    });
  }
}

// -- datagrams -------------------------------------------------------------------------------------------------------

for (const method of ['send', 'connect']) {
  const real = dgram.Socket.prototype[method];
  dgram.Socket.prototype[method] = function guarded(...args) {
    // send(message, [offset, length,] [port,] [address,] [callback]); the message itself may be a string
    const address = args.slice(1).findLast((arg) => typeof arg === 'string');
    const name = nameOf(address);
    if (isLoopback(name) || isOwn(name)) return real.apply(this, args);
    const ports = args.slice(method === 'send' ? 1 : 0).filter((arg) => typeof arg === 'number');
    const error = refusal('datagram', name, ports.at(-1), 'ECONNREFUSED');
    const callback = args.findLast((arg) => typeof arg === 'function');
    process.nextTick(() => (callback ? callback(error) : this.emit('error', error)));
    return undefined;
  };
}

syncBuiltinESMExports();
record({ event: 'guarded', runtime: `node ${process.versions.node}` });
