"""The whole stack on real sensors: ros2 launch moe_bev_ros bringup.launch.py params_file:=my_vehicle.yaml."""

from moe_bev_ros.commands.launching import describe


def generate_launch_description():
    return describe()
