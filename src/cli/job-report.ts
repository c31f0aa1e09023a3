/** Shows what a running job reports. */
import type { Report } from '../node/report.js';
import type { Output } from './output.js';

export function jobReport(output: Output): Report {
  return {
    progress: (progress) => output.progress.show(progress),
    warn: (text) => output.warn(text),
    event: (event, text) => output.event(event, text),
  };
}
