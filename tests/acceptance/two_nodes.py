"""A Ray cluster of two raylets on this machine, for `test_cluster.py`; a process of its own.

Prints its address. For each line on stdin it prints which named actors live on each node, each with its
process; the line `kill` has it kill them for good before that. Ends with stdin.
"""

import json
import sys
from collections import defaultdict

import ray
from ray._private.state import actors
from ray.cluster_utils import Cluster
from ray.util import list_named_actors

NODE = {"num_cpus": 2, "object_store_memory": 80 * 2**20}


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    cluster.add_node(**NODE)
    ray.init(address=cluster.address, log_to_driver=False)
    print(json.dumps({"address": cluster.address}), flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            for named in list_named_actors(all_namespaces=True):
                ray.kill(ray.get_actor(named["name"], named["namespace"]), no_restart=True)
        there: dict[str, dict[str, int]] = defaultdict(dict)
        for actor in actors().values():
            if actor["State"] == "ALIVE":
                there[actor["Address"]["NodeID"]][actor["Name"]] = actor["Pid"]
        print(json.dumps(there), flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
