"""A Ray cluster of two raylets on this machine, for `test_cluster.py`; a process of its own.

Prints its address; for each line on stdin, prints how many living actors each node holds; ends with stdin.
"""

import json
import sys
from collections import Counter

import ray
from ray._private.state import actors
from ray.cluster_utils import Cluster

NODE = {"num_cpus": 2, "object_store_memory": 80 * 2**20}


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    cluster.add_node(**NODE)
    ray.init(address=cluster.address, log_to_driver=False)
    print(json.dumps({"address": cluster.address}), flush=True)
    for _ in sys.stdin:
        alive = [a for a in actors().values() if a["State"] == "ALIVE"]
        print(json.dumps(Counter(a["Address"]["NodeID"] for a in alive)), flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
