// The programs that are measured: started, watched, and ended with all their children.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { promisify } from 'node:util';

/** /proc counts in hundredths of a second on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** Runs a program to its end; its stdout, parsed as JSON. */
export async function json(command, args, options = {}) {
  const { stdout } = await promisify(execFile)(command, args, {
    maxBuffer: 1 << 26,
    timeout: 600_000,
    ...options,
  });
  return JSON.parse(stdout);
}

/**
 * Runs a program to its end, or to the line of its output that holds `until`: {seconds, cpuSeconds, peakMiB, status,
 * stdout}. A script of ours that takes its own times prints them as JSON, and they count.
 */
export async function measured([command, ...args], { until, mayFail = false } = {}) {
  const script = new URL('measure.py', import.meta.url).pathname;
  const options = until ? ['--until', until] : [];
  const child = spawn('python3', ['-I', script, ...options, command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const [stdout, stderr, figures] = await Promise.all(
    child.stdio.slice(1).map(async (stream) => {
      let text = '';
      for await (const part of stream.setEncoding('utf8')) text += part;
      return text;
    }),
  );
  if (!figures) throw new Error(`${command} cannot be measured: ${stderr}`);
  const { status, ...cost } = JSON.parse(figures);
  if (status !== 0 && !until && !mayFail)
    throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr}`);
  const printed = stdout.startsWith('{"seconds"') ? JSON.parse(stdout) : {};
  return { ...cost, ...printed, stdout };
}

/** Starts a program that runs until `stop`; waits for a line that matches. */
export async function start(command, args, ready, options = {}) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true, ...options });
  const closed = once(child, 'close');
  let said = '';
  const match = await new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${command} is not ready after a minute: ${said}`)),
      60_000,
    );
    const hear = (text) => {
      said += text;
      const found = ready.exec(said);
      if (found) resolve(found);
      if (found) clearTimeout(timer);
    };
    child.stdout.setEncoding('utf8').on('data', hear);
    child.stderr.setEncoding('utf8').on('data', hear);
    child.on('error', reject);
    child.on('close', (code) => reject(new Error(`${command} ended (${code}): ${said}`)));
  });
  const end = () => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // it has ended
    }
  };
  process.once('exit', end);
  const stop = async () => {
    end();
    process.removeListener('exit', end);
    await closed;
  };
  return { pid: child.pid, stdout: child.stdout, match, stop };
}

/** CPU seconds, user and system, of a process and all below it. */
export function cpuSeconds(pid) {
  return tree(pid).reduce((sum, each) => {
    const fields = read(`/proc/${each}/stat`)
      .replace(/^.*\) /s, '')
      .split(' ');
    return sum + (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond;
  }, 0);
}

/** Forgets the most memory that a process had so far. */
export function resetPeakRss(pid) {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** The most memory that a process had since then, in MiB, mapped parts of files included. */
export function peakRssMiB(pid) {
  return Number(read(`/proc/${pid}/status`).match(/^VmHWM:\s+(\d+)/m)?.[1] ?? 0) / 1024;
}

/** Memory of a process and all below it, in MiB; what several share is divided among them (PSS). */
export function pssMiB(pid) {
  return tree(pid).reduce((sum, each) => {
    const kib = read(`/proc/${each}/smaps_rollup`).match(/^Pss:\s+(\d+)/m)?.[1] ?? 0;
    return sum + Number(kib) / 1024;
  }, 0);
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function tree(pid) {
  const found = [pid];
  for (const each of found) {
    for (const thread of list(`/proc/${each}/task`)) {
      found.push(...read(`/proc/${each}/task/${thread}/children`).split(' ').filter(Boolean).map(Number));
    }
  }
  return found;
}

// A process may end while it is looked at.
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function list(path) {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
