/** `blockswarm doctor`: what is wrong with a data directory, and the ways out. */
import { type Diagnosis, type DoctorOptions, diagnose, type Finding } from '../node/doctor.js';
import { formatBytes } from '../units.js';
import { stateDir } from './env.js';
import type { CommandContext } from './program.js';

type Options = Omit<DoctorOptions, 'stateDir'> & { readonly stateDir?: string };

/** As an error: something cannot be done with this directory. */
const PROBLEMS_EXIT_CODE = 1;

export async function doctorCommand({
  env,
  output,
  options,
  outcome,
}: CommandContext<Options>): Promise<void> {
  const settings = { ...options, stateDir: stateDir(env, options.stateDir) };
  const diagnosis = await diagnose(settings, env.signal);
  const problems = diagnosis.findings.filter(({ severity }) => severity === 'problem').length;
  if (problems > 0) outcome.exitCode = PROBLEMS_EXIT_CODE;
  output.result({ ...diagnosis, problems }, () => diagnosisText(diagnosis, problems));
}

function diagnosisText({ network, blocksDir, chain, files, findings }: Diagnosis, problems: number): string {
  const lines = [`${blocksDir}: ${network}`];
  if (files.blocks > 0) {
    const xor = files.isXored === null ? '' : files.isXored ? ', XORed with xor.dat' : ', plain';
    lines.push(
      `  files     ${files.blocks} block files, ${files.undo} undo files, ${formatBytes(files.lengthBytes)}${xor}`,
    );
  }
  if (chain) {
    lines.push(
      `  tip       ${chain.tipHash ?? 'none'}, height ${chain.height}`,
      `  segments  ${chain.sealedSegments} sealed`,
      `  beside    ${chain.staleBlocks} stale blocks, ${chain.orphanBlocks} without a line to genesis`,
    );
  }
  for (const finding of findings) lines.push(...findingText(finding));
  lines.push(problems === 0 ? 'nothing is wrong' : `${problems} ${problems === 1 ? 'problem' : 'problems'}`);
  return lines.join('\n');
}

function findingText({ severity, text, remedies }: Finding): string[] {
  const ways = remedies.map(
    (remedy, at) => `    ${remedies.length > 1 ? `${at + 1}. ` : 'way out: '}${remedy}`,
  );
  return [`${severity === 'problem' ? 'PROBLEM' : 'remark '}   ${text}`, ...ways];
}
