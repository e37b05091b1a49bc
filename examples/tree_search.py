"""A search that asks a network at every node: A* on the 8-puzzle, whose distance to the goal was learned from examples.

Queue, boards that were seen and network are all in compiled code. Beside it the usual heuristic: how many steps the
tiles are from their places. Both count twice, so that fewer boards are looked at, and the way is nearly the shortest.
"""

import heapq

import numpy as np
from numba import njit

import fastnn

GOAL = 123456780  # the board row by row, the gap as 0
PLACES = np.arange(9)


@njit(cache=True)
def tiles_of(board):
    return board // 10 ** (8 - PLACES) % 10


@njit(cache=True)
def neighbours(board):
    tiles, boards = tiles_of(board), []
    gap = np.argmin(tiles)
    for step, is_inside in ((-3, gap > 2), (3, gap < 6), (-1, gap % 3 > 0), (1, gap % 3 < 2)):
        if is_inside:
            boards.append(board + tiles[gap + step] * (10 ** (8 - gap) - 10 ** (8 - gap - step)))
    return boards


@njit(cache=True)
def distances():
    """Of all boards from the goal."""
    distance_of, boards = {GOAL: 0}, [GOAL]
    for board in boards:
        for other in neighbours(board):
            if other not in distance_of:
                distance_of[other] = distance_of[board] + 1
                boards.append(other)
    return distance_of


@njit(cache=True)
def solve(board, net, asks_network):
    """How many moves it takes to the goal, and how many boards were looked at."""
    moves_to, queue, n_seen, out = {board: 0}, [(0.0, board)], 0, np.empty(1)
    while True:
        _, board = heapq.heappop(queue)
        if board == GOAL:
            return moves_to[board], n_seen
        n_seen += 1
        for other in neighbours(board):
            moves, tiles = moves_to[board] + 1, tiles_of(other)
            if other not in moves_to or moves < moves_to[other]:
                moves_to[other] = moves
                if asks_network:
                    x = np.zeros(81)
                    x[9 * PLACES + tiles] = 1
                    fastnn.predict_one(net, x, out)
                else:
                    steps = np.abs(PLACES // 3 - (tiles - 1) // 3) + np.abs(PLACES % 3 - (tiles - 1) % 3)
                    out[0] = (steps * (tiles > 0)).sum()
                heapq.heappush(queue, (moves + 2 * out[0], other))


def main(n_examples=10_000, n_boards=100):
    distance_of = distances()
    boards = np.random.default_rng(0).permutation(list(distance_of))[: n_examples + n_boards]
    distance = np.array([distance_of[board] for board in boards])
    X = np.array([np.eye(9)[tiles_of(board)].ravel() for board in boards[:n_examples]])
    model = fastnn.MLPRegressor(hidden_layer_sizes=(64, 32), tol=0.01, random_state=0)
    net, means = model.fit(X, distance[:n_examples]).jit(), []
    for name, asks_network in (("steps of the tiles", False), ("network", True)):
        means.append(np.mean([solve(board, net, asks_network) for board in boards[n_examples:]], axis=0))
        print(f"{name:20} {means[-1][0]:5.2f} moves, found after {means[-1][1]:6.0f} boards")
    print(f"{'the shortest ways':20} {distance[n_examples:].mean():5.2f} moves")
    return *means, distance[n_examples:].mean()


if __name__ == "__main__":
    main()
