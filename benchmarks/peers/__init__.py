"""The libraries, each optional but skem and scikit-learn."""

from benchmarks.peers.faiss import Faiss
from benchmarks.peers.onedal import OneDAL
from benchmarks.peers.ours import Skem
from benchmarks.peers.pomegranate import Pomegranate
from benchmarks.peers.sklearn import ScikitLearn
from benchmarks.peers.stepmix import StepMix

OURS = "skem"
PEERS = {peer.name: peer for peer in (Skem(), ScikitLearn(), OneDAL(), Faiss(), Pomegranate(), StepMix())}
