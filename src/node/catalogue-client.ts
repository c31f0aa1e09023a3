/** A node that has a catalogue and is connected: what jobs over the torrents of the chain begin with. */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { privacyOf } from '../connector/privacy.js';
import { type Network, networkParams } from '../native.js';
import { BadCatalogues } from './bad-catalogues.js';
import { chainWorkFloor } from './catalogue.js';
import { type ChosenCatalogue, searchCatalogue } from './catalogue-search.js';
import { catalogueSources } from './catalogue-sources/named.js';
import { openPeerNode, type PeerNodeChoice } from './open-peer-node.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { StateFolder } from './state.js';

export interface CatalogueClientOptions extends PeerNodeChoice {
  readonly network: string;
  /** Sources of the catalogue: see `catalogueSources`. The defaults when absent. */
  readonly catalogue?: readonly string[] | undefined;
  readonly coreDatadir?: string;
  readonly minChainWork?: string | undefined;
  readonly stateDir: string;
  readonly timeoutSeconds: number;
}

export class CatalogueClient {
  readonly network: Network;
  readonly peerNode: PeerNode;
  readonly catalogue: ChosenCatalogue;
  readonly state: StateFolder;

  private constructor(network: Network, peerNode: PeerNode, catalogue: ChosenCatalogue, state: StateFolder) {
    this.network = network;
    this.peerNode = peerNode;
    this.catalogue = catalogue;
    this.state = state;
  }

  /**
   * Takes the state folder of `subject` (a folder, made when missing), listens, and finds the catalogue.
   * @throws BlockswarmError as `StateFolder.open`, `PeerNode` and `searchCatalogue`
   */
  static async open(
    options: CatalogueClientOptions,
    subject: string,
    signal: AbortSignal,
    report: Report,
  ): Promise<CatalogueClient> {
    const network = networkParams(options.network);
    const floor = chainWorkFloor(network, options.minChainWork, report);
    const privacy = privacyOf(options, randomBytes);
    await mkdir(subject, { recursive: true });
    const state = StateFolder.open(options.stateDir, subject);
    try {
      const folder = join(state.path, 'catalogues');
      await mkdir(folder, { recursive: true });
      const peerNode = await openPeerNode({
        choice: options,
        privacy,
        folders: [state.path],
        ...{ signal, report },
      });
      try {
        const { catalogue: names, coreDatadir: datadir = null, stateDir, timeoutSeconds } = options;
        const bad = await BadCatalogues.open(state.path);
        const sources = catalogueSources(names, { network, peerNode, stateDir, datadir });
        const shared = { network, floor, folder, peerNode, bad, sources, timeoutSeconds, report, signal };
        return new CatalogueClient(network, peerNode, await searchCatalogue(shared), state);
      } catch (error) {
        await peerNode.close();
        throw error;
      }
    } catch (error) {
      state.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.peerNode.close();
    this.state.close();
  }
}
